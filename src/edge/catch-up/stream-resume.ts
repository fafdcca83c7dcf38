import type { LiveFeed, StateReader } from '../../commands/index.ts'
import type { StreamPosition } from '../../events/index.ts'
import type { Memberships } from '../access/memberships.ts'
import { Readable } from '../access/readable.ts'
import type { WireEvent } from '../delivery/wire.ts'
import { push, pushObject } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import type { LostEvents } from './lost-events.ts'
import {
  type BeginRound,
  type Missed,
  type Refetch,
  type Resume,
  type Round,
  type RoundResult,
  refetchOf,
} from './round.ts'
import type { Cursor } from './shared-reads.ts'
import { cursorOf, encodeCursor, type StreamCursor, sequenceIn } from './stream-cursor.ts'

interface StreamParts {
  readonly lostEvents: LostEvents
  readonly states: StateReader
  readonly memberships: Memberships
  readonly writeRoom: WriteRoom
  readonly feed: LiveFeed
}

interface StreamStart {
  /** Epoch of the cursor. */
  readonly epoch: number
  /** The `Last-Event-ID` of the client. */
  readonly cursor: StreamCursor
  /** Whether the log reaches the cursor. If not, the client has to fetch all conversations again. */
  readonly isInLog: boolean
  /**
   * Called with the user's conversations, in the turn of the event loop from which on the session receives live events.
   */
  readonly join: (conversations: readonly string[]) => void
}

/**
 * Resumes an event stream from a position in each stream of the log. The events of all conversations are sent in the
 * order of the log, so that the id of each event is a cursor, and all conversations finish together.
 */
export class StreamResume implements Resume {
  readonly session: Session
  /** All events of a round have to be read before the first one is sent. */
  readonly maxBytes = 8 * 1024 * 1024
  readonly sendsParts = false
  sentEvents = 0
  readonly #parts: StreamParts
  readonly #cursor: StreamCursor
  readonly #hasRoom: (bytes: number) => boolean
  readonly #join: (conversations: readonly string[]) => void
  #isInLog: boolean
  #epoch: number
  /** Where the rounds read to, until everything up to there is sent. */
  #until: readonly StreamPosition[] | undefined
  /** Conversations that the client has to fetch again: nothing of them is sent up to `#until`. */
  readonly #refetched = new Set<string>()
  /** The last `refetch` of each conversation, so that no round repeats it. */
  readonly #sentRefetch = new Map<string, string>()
  /** The last seq that was sent, by conversation. */
  readonly #sent = new Map<string, number>()
  /** The conversations of the last round. */
  #conversations: ReadonlySet<string> = new Set()

  constructor(session: Session, { cursor, epoch, isInLog, join }: StreamStart, parts: StreamParts) {
    this.session = session
    this.#cursor = new Map(cursor)
    this.#isInLog = isInLog
    this.#epoch = epoch
    this.#join = join
    this.#parts = parts
    this.#hasRoom = parts.writeRoom.pacerOf(session)
  }

  async start(begin: BeginRound): Promise<Round> {
    const until = this.#until
    const round = await this.#parts.memberships.of(this.session.user, conversations =>
      begin(conversations, { isForAll: true, ...(until === undefined ? {} : { until }) }),
    )
    // The user left these between two rounds, when no live event was observed.
    for (const c of this.#conversations) if (!round.conversations.has(c)) round.left.add(c)
    this.#conversations = round.conversations
    return round
  }

  async admit(c: string): Promise<{ readable: Readable; cursor: Cursor } | { refetch: Refetch } | undefined> {
    if (this.#refetched.has(c)) return undefined
    const { states } = this.#parts
    const view = await states.conversation(c)
    const readable = await Readable.by(states, view, this.session.user)
    if (view === undefined || readable === undefined) return undefined
    const { lostEvents, feed } = this.#parts
    const streamSeq = sequenceIn(this.#cursor, view.stream, feed.positions())
    if (streamSeq > lostEvents.keptUpTo(view.stream, this.#epoch))
      return { refetch: { reason: 'epoch', head: view.head } }
    if (!this.#isInLog) return { refetch: { reason: 'unknown', head: view.head } }
    return view.streamSeq <= streamSeq ? undefined : { readable, cursor: { streamSeq } }
  }

  deliver(round: Round, missed: ReadonlyMap<string, Missed>): RoundResult {
    for (const { error } of missed.values()) if (error !== undefined) throw error
    const events: WireEvent[] = []
    for (const [c, read] of missed) {
      if (round.left.has(c)) continue
      const refetch = refetchOfStream(read)
      if (refetch === undefined) for (const event of read.events) events.push(event)
      else {
        this.#refetched.add(c)
        this.#refetch(c, refetch)
      }
    }
    this.#until = round.positions
    this.#enterEpoch(round.positions)
    for (const event of events.sort(byPosition)) if (!this.#send(event)) return 'full'
    for (const [stream, streamSeq] of cursorOf(round.positions)) this.#cursor.set(stream, streamSeq)
    this.#until = undefined
    this.#refetched.clear()
    this.#isInLog = true
    for (const c of round.left) this.#refetch(c, { reason: 'not_member', head: 0 })
    if (!round.isCurrent || round.buffered === undefined) return 'continue'
    for (const event of round.buffered) this.#push(event)
    for (const [c, seq] of this.#sent) pushObject(this.session, { t: 'synced', c, seq })
    this.#join([...round.conversations])
    return 'done'
  }

  /** All conversations of streams whose cursor is lost were refetched: the cursor continues at the round's end. */
  #enterEpoch(positions: readonly StreamPosition[]): void {
    const { lostEvents } = this.#parts
    for (const [stream, streamSeq] of cursorOf(positions))
      if ((this.#cursor.get(stream) ?? 0) > lostEvents.keptUpTo(stream, this.#epoch))
        this.#cursor.set(stream, streamSeq)
    this.#epoch = lostEvents.epoch
  }

  /** Returns false when the client has to read first. */
  #send(event: WireEvent): boolean {
    if (!this.#hasRoom(event.wire.json.length)) return false
    this.#push(event)
    return true
  }

  #push({ c, seq, stream, streamSeq, wire }: WireEvent): void {
    this.#cursor.set(stream, streamSeq)
    push(this.session, wire.event(encodeCursor(this.#cursor, this.#epoch)))
    this.#sent.set(c, seq)
    this.sentEvents++
  }

  #refetch(c: string, { reason, head }: Refetch): void {
    const refetch = `${reason} ${head}`
    if (this.#sentRefetch.get(c) !== refetch) pushObject(this.session, { t: 'refetch', c, head, reason })
    this.#sentRefetch.set(c, refetch)
    this.#sent.delete(c)
  }
}

/** Events of one conversation are sent all or not at all: a client cannot fetch the middle of it. */
const refetchOfStream = (read: Missed): Refetch | undefined => {
  const { readable, isComplete } = read
  const isPart = !isComplete && readable !== undefined
  return refetchOf(read) ?? (isPart ? { reason: 'too_far', head: readable.view.head } : undefined)
}

const byPosition = (one: WireEvent, other: WireEvent): number => {
  if (one.stream !== other.stream) return one.stream < other.stream ? -1 : 1
  return one.streamSeq - other.streamSeq
}
