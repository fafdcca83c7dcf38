import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { Limits } from '../../events/index.ts'
import { Readable } from '../access/readable.ts'
import type { FanOut } from '../delivery/fan-out.ts'
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

interface ResumeParts {
  readonly lostEvents: LostEvents
  readonly states: StateReader
  readonly feed: LiveFeed
  readonly fanOut: FanOut
  readonly writeRoom: WriteRoom
}

/** Conversations of one round. Other users' rounds run between two rounds of a session. */
const roundConversations = 32

/**
 * Resumes a session of a WebSocket or of gRPC from a sequence number for each conversation. The conversations finish
 * one by one, each with `synced` or `refetch`.
 */
export class ConversationResume implements Resume {
  readonly session: Session
  readonly maxBytes = 1024 * 1024
  readonly sendsParts = true
  sentEvents = 0
  readonly #parts: ResumeParts
  readonly #hasRoom: (bytes: number) => boolean
  /**
   * The last seq that the client has received, of each conversation that has not finished. The first ones are in the
   * next round.
   */
  readonly #cursors: Map<string, number>
  readonly #epoch: number
  /** Conversations whose distance from the head was checked. It may grow while a slow client reads. */
  readonly #admitted = new Set<string>()
  /** Conversations whose event at the cursor was delivered by the live feed. */
  readonly #reached = new Set<string>()

  /** `epoch`: of the cursors. */
  constructor(session: Session, cursors: Map<string, number>, epoch: number, parts: ResumeParts) {
    this.#epoch = epoch
    this.session = session
    this.#cursors = cursors
    this.#parts = parts
    this.#hasRoom = parts.writeRoom.pacerOf(session)
  }

  async start(begin: BeginRound): Promise<Round> {
    return begin(new Set([...this.#cursors.keys()].slice(0, roundConversations)), { isForAll: false })
  }

  async admit(c: string): Promise<{ readable: Readable; cursor: Cursor } | { refetch: Refetch }> {
    const { states } = this.#parts
    const { user } = this.session
    const seq = this.#cursors.get(c)!
    const checked = this.#admitted.has(c) ? undefined : seq
    let readable = await Readable.by(states, await states.conversation(c), user)
    let refetch = refusalOf(readable, checked)
    if (refetch !== undefined) {
      // Another node may be ahead: the session was connected there, or its user was just invited there.
      readable = await Readable.byNow(states, await states.currentConversation(c), user)
      refetch = refusalOf(readable, checked)
    }
    if (readable === undefined || refetch?.reason === 'not_member') return { refetch: notMember }
    if (
      seq > 0 &&
      checked !== undefined &&
      (await this.#parts.lostEvents.has(readable.view, seq, this.#epoch))
    )
      return { refetch: { reason: 'epoch', head: readable.view.head } }
    if (refetch !== undefined) return { refetch }
    this.#admitted.add(c)
    return { readable, cursor: { seq } }
  }

  deliver(round: Round, missed: ReadonlyMap<string, Missed>): RoundResult {
    let hasProgress = false
    let error: unknown
    for (const [c, before] of [...this.#cursors].slice(0, roundConversations)) {
      if (this.session.closed) return 'done'
      const read = missed.get(c)
      error ??= read?.error
      const result =
        read === undefined || read.error !== undefined ? 'unfinished' : this.#send(round, c, read)
      if (result === 'full') return 'full'
      if (result === 'finished' || this.#cursors.get(c) !== before) hasProgress = true
      if (result === 'unfinished') this.#postpone(c)
    }
    if (error !== undefined) throw error
    if (this.#cursors.size === 0) return 'done'
    return hasProgress ? 'continue' : 'wait'
  }

  #send(round: Round, c: string, read: Missed): 'finished' | 'unfinished' | 'full' {
    if (read.refetch?.reason === 'not_member' || round.left.has(c) || this.#isOut(c)) {
      // The user may have joined after `admit` looked. The next round looks again.
      if (round.joined.has(c)) return 'unfinished'
      return this.#finish(c, notMember)
    }
    const refetch = refetchOf(read)
    if (refetch !== undefined) {
      const { head } = refetch
      this.#finish(c, refetch)
      for (const event of round.buffered ?? [])
        if (event.c === c && event.seq > head) push(this.session, event.wire.frame(this.session.encoding))
      return 'finished'
    }
    for (const event of read.events) if (!this.#sendEvent(event)) return 'full'
    if (!read.isComplete || round.buffered === undefined) return 'unfinished'
    for (const event of round.buffered) {
      const cursor = this.#cursors.get(c)!
      if (event.c !== c || event.seq <= cursor) continue
      if (event.seq !== cursor + 1) return 'unfinished'
      if (!this.#sendEvent(event)) return 'full'
    }
    return this.#hasReached(c, read.readable?.view) ? this.#finish(c, undefined) : 'unfinished'
  }

  /** Returns false when the client has to read first. */
  #sendEvent(event: WireEvent): boolean {
    const { session } = this
    if (!this.#hasRoom(event.wire.json.length)) return false
    push(session, event.wire.frame(session.encoding))
    this.#cursors.set(event.c, event.seq)
    this.#reached.add(event.c)
    this.sentEvents++
    return true
  }

  /** The state may be ahead of the live feed, and know of a removal that the feed has not delivered. */
  #isOut(c: string): boolean {
    const { states } = this.#parts
    const view = states.conversation(c)
    const readable = view instanceof Promise ? view : Readable.by(states, view, this.session.user)
    if (!(readable instanceof Promise)) return readable === undefined
    // The next read of the state reports the error.
    readable.catch(() => {})
    return false
  }

  /**
   * Whether the live feed has delivered the event at the cursor. A client that was connected to another node may be
   * ahead of this node's feed. If it were subscribed now, the feed would deliver that event to it again.
   */
  #hasReached(c: string, view: ConversationView | undefined): boolean {
    if (view === undefined || this.#reached.has(c) || this.#cursors.get(c) === 0) return true
    return view.streamSeq <= (this.#parts.feed.position(view.stream) ?? 0)
  }

  /** Sends how the conversation finished and subscribes a member to its live events, in one turn of the event loop. */
  #finish(c: string, refetch: Refetch | undefined): 'finished' {
    const { session } = this
    const seq = this.#cursors.get(c)!
    this.#cursors.delete(c)
    session.catchingUp?.delete(c)
    if (session.catchingUp?.size === 0) session.catchingUp = undefined
    if (refetch === undefined) pushObject(session, { t: 'synced', c, seq })
    else pushObject(session, { t: 'refetch', c, head: refetch.head, reason: refetch.reason })
    if (refetch?.reason !== 'not_member') this.#parts.fanOut.subscribe(session, c)
    return 'finished'
  }

  #postpone(c: string): void {
    const cursor = this.#cursors.get(c)!
    this.#cursors.delete(c)
    this.#cursors.set(c, cursor)
  }
}

const notMember: Refetch = { reason: 'not_member', head: 0 }

/** `cursor`: undefined when its distance from the head was checked before. */
const refusalOf = (readable: Readable | undefined, cursor: number | undefined): Refetch | undefined => {
  if (readable === undefined) return notMember
  if (cursor === undefined) return undefined
  const { view } = readable
  if (cursor > view.head) return { reason: 'unknown', head: view.head }
  return view.head - cursor > Limits.resumeEvents ? { reason: 'too_far', head: view.head } : undefined
}
