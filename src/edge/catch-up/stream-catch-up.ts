import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../base/logger.ts'
import { Semaphore } from '../../base/semaphore.ts'
import type { EventLog, LiveFeed, StateReader } from '../../commands/index.ts'
import {
  CloseCode,
  Family,
  Limits,
  type RefetchReason,
  type StoredEvent,
  wireBytes,
} from '../../events/index.ts'
import type { MembershipChange, Memberships } from '../access/memberships.ts'
import { Wire } from '../delivery/wire.ts'
import type { EdgeLimits } from '../ports/edge-limits.ts'
import { push, pushObject } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import { cursorOf, encodeCursor, isUnreachable, type StreamCursor } from './stream-cursor.ts'

/** An event that a session has not got yet. */
interface Missed {
  readonly c: string
  readonly seq: number
  readonly stream: string
  readonly streamSeq: number
  readonly wire: Wire
}

/** What a session's user is in, and what comes live, while what it missed is read. */
interface Running {
  readonly session: Session
  readonly conversations: Set<string>
  /** Up to here it is read; what comes live is all after it. */
  readonly until: StreamCursor
  /** Conversations that the user was taken out of meanwhile. */
  readonly removed: Set<string>
  /** Undefined when it was too much: it is read later. */
  live: Missed[] | undefined
  liveBytes: number
}

/** Bytes to send before looking whether the client takes them; as many may wait as live events. */
const stepBytes = 256 * 1024
/** Bytes that are read for a session before they are sent; a conversation for which there is no room is to be fetched again. */
const readBytes = 8 * 1024 * 1024
/** Conversations that are asked about at the same time, for one session. */
const atATime = 8
const pollMs = 10
const retryMs = [50, 200, 1_000, 4_000]

interface CatchUpParts {
  readonly states: StateReader
  readonly log: EventLog
  readonly feed: LiveFeed
  readonly memberships: Memberships
  readonly writeRoom: WriteRoom
  readonly logger: Logger
  readonly onResumed: (events: number) => void
}

/**
 * Sends an event stream what it has missed since a place, in the order of the log, so that each event's id says how far it has come, and then lets it have what
 * is live: in the very turn in which it has all that this node has delivered.
 */
export class StreamCatchUp {
  readonly #parts: CatchUpParts
  readonly #limits: EdgeLimits
  readonly #turns: Semaphore
  readonly #running = new Set<Running>()

  constructor(parts: CatchUpParts, limits: EdgeLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#turns = new Semaphore(limits.resumes)
  }

  /** Whether live events have to come by `offer`. */
  get isRunning(): boolean {
    return this.#running.size > 0
  }

  /** Whether a live event of a conversation is missed by somebody who does not get it otherwise. */
  wants(c: string): boolean {
    for (const { conversations } of this.#running) if (conversations.has(c)) return true
    return false
  }

  /** Of the place of whoever has got all that this node has delivered, in this turn. */
  readonly currentId = (): string => encodeCursor(cursorOf(this.#parts.feed.positions()))

  /** Every live event of a conversation. */
  offer(event: StoredEvent, change: MembershipChange | undefined, wire: Wire): void {
    const c = event.aggregate.id
    for (const running of this.#running) {
      const { user } = running.session
      if (change?.joined.includes(user)) running.conversations.add(c)
      if (!running.conversations.has(c)) continue
      if (change?.left === user) {
        running.conversations.delete(c)
        running.removed.add(c)
        running.live = running.live?.filter(missed => missed.c !== c)
      } else keep(running, { c, seq: event.envelope.seq, ...placeIn(event), wire }, this.#limits.resumeBuffer)
    }
  }

  /** A user has come to follow a channel, or follows it no longer. What it missed of it is read in another round. */
  changed({ c, joined, left }: MembershipChange): void {
    for (const running of this.#running) {
      const { user } = running.session
      if (joined.includes(user)) running.live = undefined
      if (left !== user) continue
      running.conversations.delete(c)
      running.removed.add(c)
      running.live = running.live?.filter(missed => missed.c !== c)
    }
  }

  /** Resolves when the session has had all, and `join` has been called with its conversations, in that turn; or when it has ended. Never rejects. */
  async run(
    session: Session,
    from: StreamCursor,
    join: (conversations: readonly string[]) => void,
  ): Promise<void> {
    // Nothing is read until then: a place that is none keeps nobody else waiting.
    const isKnown = await this.#hasCome(session, from)
    await this.#turns.run(async () => {
      const place: StreamCursor = new Map(from)
      const filled = new Map<string, number>()
      const told = new Map<string, string>()
      try {
        for (let failures = 0; !session.closed; )
          try {
            if (await this.#once(session, { place, filled, told, isKnown }, join)) return
          } catch (error) {
            const wait = retryMs[failures++]
            if (wait === undefined) throw error
            await sleep(wait)
          }
      } catch (error) {
        // Nothing true can be said of what it missed. It comes again, with its place.
        this.#parts.logger.warn({ session: session.id, err: error }, 'could not read what a stream missed')
        session.end(CloseCode.goingAway, 'missed events cannot be read')
      }
    })
  }

  /** Another node may have been ahead. False: this one does not get there, so that the place is none of this log. */
  async #hasCome(session: Session, from: StreamCursor): Promise<boolean> {
    const { feed } = this.#parts
    if (isUnreachable(from)) return false
    const has = (): boolean =>
      feed.positions().every(({ stream, streamSeq }) => streamSeq >= (from.get(stream) ?? 0))
    for (const until = performance.now() + this.#limits.rosterWaitMs; !has() && !session.closed; ) {
      if (performance.now() > until) return false
      await sleep(pollMs)
    }
    return true
  }

  /** Whether the session is where the node is. If not, it has come nearer. */
  async #once(
    session: Session,
    progress: {
      place: StreamCursor
      filled: Map<string, number>
      /** Conversations that it has been told to fetch again: why, and from where. */
      told: Map<string, string>
      isKnown: boolean
    },
    join: (conversations: readonly string[]) => void,
  ): Promise<boolean> {
    const { memberships, feed } = this.#parts
    const { place, filled, told } = progress
    const running = await memberships.of(session.user, conversations => {
      const until = cursorOf(feed.positions())
      const started = { session, conversations, until, removed: new Set<string>(), live: [], liveBytes: 0 }
      this.#running.add(started)
      return started as Running
    })
    const send = (missed: Missed): void => {
      place.set(missed.stream, missed.streamSeq)
      push(session, missed.wire.event(encodeCursor(place)))
      filled.set(missed.c, missed.seq)
      this.#parts.onResumed(1)
    }
    const refetch = (c: string, head: number, reason: RefetchReason): void => {
      const what = `${reason} ${head}`
      if (told.get(c) !== what) pushObject(session, { t: 'refetch', c, head, reason })
      told.set(c, what)
      filled.delete(c)
    }
    try {
      const missed = await this.#read(running, place, progress.isKnown, refetch)
      await this.#send(running, missed, send)
      if (session.closed) return true
      for (const [stream, streamSeq] of running.until) place.set(stream, streamSeq)
      progress.isKnown = true
      for (const c of running.removed) refetch(c, 0, 'not_member')
      if (running.live === undefined) return false
      // From here on there is no waiting: what the feed delivers comes before all of it or after.
      for (const event of running.live) send(event)
      for (const [c, seq] of filled) pushObject(session, { t: 'synced', c, seq })
      join([...running.conversations])
      return true
    } finally {
      this.#running.delete(running)
    }
  }

  /** What the session misses up to where it is to be, in the order in which it is sent. */
  async #read(
    running: Running,
    place: StreamCursor,
    isKnown: boolean,
    refetch: (c: string, head: number, reason: RefetchReason) => void,
  ): Promise<Missed[]> {
    const { states } = this.#parts
    const all: Missed[] = []
    let bytes = 0
    const rest = [...running.conversations]
    const work = async (): Promise<void> => {
      for (let c = rest.pop(); c !== undefined && !running.session.closed; c = rest.pop()) {
        const view = await states.conversation(c)
        if (view === undefined) continue
        const after = place.get(view.stream) ?? 0
        if (isKnown && view.streamSeq <= after) continue
        const missed = isKnown ? await this.#readOne(running, c, after) : undefined
        const size = missed?.reduce((sum, { wire }) => sum + wire.json.length, 0) ?? 0
        if (missed === undefined) refetch(c, view.head, isKnown ? 'too_far' : 'unknown')
        else if (bytes + size > readBytes) refetch(c, view.head, 'too_far')
        else {
          bytes += size
          all.push(...missed)
        }
      }
    }
    await Promise.all(Array.from({ length: atATime }, work))
    return all.sort((a, b) =>
      a.stream === b.stream ? a.streamSeq - b.streamSeq : a.stream < b.stream ? -1 : 1,
    )
  }

  /** Undefined when it is more than is sent. */
  async #readOne(running: Running, c: string, after: number): Promise<Missed[] | undefined> {
    const missed: Missed[] = []
    for await (const batch of this.#parts.log.read({ family: Family.conversation, id: c }, after))
      for (const event of batch) {
        if (event.streamSeq > (running.until.get(event.stream) ?? 0)) return missed
        if (missed.length === Limits.resumeEvents) return undefined
        missed.push({ c, seq: event.envelope.seq, ...placeIn(event), wire: new Wire(wireBytes(event)) })
      }
    return missed
  }

  async #send(running: Running, missed: readonly Missed[], send: (missed: Missed) => void): Promise<void> {
    const { session, removed } = running
    let bytes = 0
    for (const event of missed) {
      if (session.closed) return
      // What somebody missed of a conversation is not to be had any more by who is out of it.
      if (removed.has(event.c)) continue
      send(event)
      bytes += event.wire.json.length
      if (bytes < stepBytes) continue
      bytes = 0
      await this.#parts.writeRoom.room(session)
    }
  }
}

const placeIn = ({ stream, streamSeq }: StoredEvent) => ({ stream, streamSeq })

const keep = (running: Running, missed: Missed, most: number): void => {
  if (running.live === undefined) return
  running.liveBytes += missed.wire.json.length
  if (running.live.length < most && running.liveBytes < stepBytes) running.live.push(missed)
  else running.live = undefined
}
