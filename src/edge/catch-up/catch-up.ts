import { setImmediate } from 'node:timers/promises'
import { FairSemaphore } from '../../base/fair-semaphore.ts'
import type { Logger } from '../../base/logger.ts'
import { sleep } from '../../base/sleep.ts'
import type { LiveFeed, StateReader } from '../../commands/index.ts'
import { CloseCode, ConfabError, Limits, LogDamagedError } from '../../events/index.ts'
import type { MembershipChange, Memberships } from '../access/memberships.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import type { WireEvent } from '../delivery/wire.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import type { ConversationReader } from './conversation-reader.ts'
import { ConversationResume } from './conversation-resume.ts'
import type { LostEvents } from './lost-events.ts'
import { type BeginRound, type Missed, type Refetch, type Resume, Round, type RoundResult } from './round.ts'
import type { SharedReads } from './shared-reads.ts'
import { cursorOf, encodeCursor, isUnreachable, type StreamCursor, sequenceIn } from './stream-cursor.ts'
import { StreamResume } from './stream-resume.ts'

export interface CatchUpParts {
  readonly lostEvents: LostEvents
  readonly states: StateReader
  readonly feed: LiveFeed
  readonly memberships: Memberships
  readonly reader: ConversationReader
  readonly reads: SharedReads
  readonly fanOut: FanOut
  readonly writeRoom: WriteRoom
  readonly logger: Logger
  readonly onResumed: (events: number) => void
}

export interface CatchUpLimits {
  /** Rounds that read at the same time. */
  readonly resumes: number
  /** Rounds of one user that read at the same time. */
  readonly userResumes: number
  /** Live events that one round buffers. */
  readonly resumeBuffer: number
  /** Conversations that one session may be catching up on. */
  readonly resumeConversations: number
  /** How long an event stream waits for the live feed to reach its cursor, ms. */
  readonly rosterWaitMs: number
}

/** Conversations of one round that are read at the same time. */
const readsPerRound = 8
/** First and longest wait for the live feed to advance, ms. Each wait is twice as long as the one before. */
const firstFeedWaitMs = 5
const longestFeedWaitMs = 160
/** Interval at which an event stream checks whether the live feed has reached its cursor, ms. */
const cursorCheckMs = 10
const retryMs = [50, 200, 1_000, 4_000]

/**
 * Sends sessions what they missed: every event once, in order, then the live events. A session that reconnects resumes
 * from its cursors, by conversation (WebSocket, gRPC) or by stream position (event streams). A slow consumer catches up
 * in the same way.
 *
 * A catch-up runs in rounds. A round buffers the live events of its conversations, reads what was stored up to the
 * positions of the live feed at which it began, and sends both in one turn of the event loop. In the same turn the
 * session is subscribed to the live events. A round that ends earlier (the client reads slowly, the buffer overflowed,
 * a read failed) keeps only cursors, and the next round reads from there. A round holds one of `resumes` slots, so it
 * never waits for a client. A user has a bound of its own.
 */
export class CatchUp {
  readonly #parts: CatchUpParts
  readonly #limits: CatchUpLimits
  readonly #slots: FairSemaphore
  readonly #rounds = new Set<Round>()
  /** The last catch-up by conversation of a session. The next one waits for it: a session has one at a time. */
  readonly #lastResume = new WeakMap<Session, Promise<void>>()

  constructor(parts: CatchUpParts, limits: CatchUpLimits) {
    this.#parts = parts
    this.#limits = limits
    this.#slots = new FairSemaphore({ total: limits.resumes, share: limits.userResumes })
  }

  /** Whether a catch-up, or the kept events of a conversation, need its live events. */
  needs(c: string): boolean {
    if (this.#parts.reads.isKeeping(c)) return true
    for (const { conversations } of this.#rounds) if (conversations.has(c)) return true
    return false
  }

  /** Takes each live event of a conversation for which `needs` holds. */
  offer(event: WireEvent): void {
    if (this.#parts.reads.isKeeping(event.c)) this.#parts.reads.add(event)
    for (const round of this.#rounds) round.offer(event)
  }

  /** Takes each change of membership, before the event that made it. */
  changed(change: MembershipChange): void {
    for (const round of this.#rounds) round.changed(change)
  }

  /** Discards the buffered live events of a conversation or a user, because one is missing. The next round reads it. */
  restart({ c, user }: { c?: string; user?: string }): void {
    for (const round of this.#rounds)
      if (round.user === user || (c !== undefined && round.conversations.has(c))) round.overflow()
  }

  /** The event stream id of a client that has received everything that this node has delivered up to now. */
  readonly currentId = (): string => encodeCursor(cursorOf(this.#parts.feed.positions()), this.epoch)

  /** The current epoch. */
  get epoch(): number {
    return this.#parts.lostEvents.epoch
  }

  /** Whether a session is catching up on as many conversations as it may. */
  isFull(session: Session): boolean {
    return (session.catchingUp?.size ?? 0) >= this.#limits.resumeConversations
  }

  /**
   * Sends a session what follows its cursors, then `synced` or `refetch` for each conversation, and subscribes it.
   * Resolves when that is done or the session has closed. Never rejects. `epoch`: of the cursors.
   */
  async resume(session: Session, cursors: Readonly<Record<string, number>>, epoch = 1): Promise<void> {
    // A conversation that the session is catching up on needs no second catch-up.
    const missed = Object.entries(cursors).filter(([c]) => !session.catchingUp?.has(c))
    if (missed.length > 0) session.catchingUp ??= new Set()
    for (const [c] of missed) {
      session.catchingUp?.add(c)
      session.behind?.delete(c)
    }
    this.#parts.fanOut.unsubscribeAll(
      session,
      missed.map(([c]) => c),
    )
    const previous = this.#lastResume.get(session)
    const done = (async () => {
      await previous
      if (missed.length > 0)
        await this.#run(new ConversationResume(session, new Map(missed), epoch, this.#parts))
    })()
    this.#lastResume.set(session, done)
    await done
  }

  /**
   * Sends an event stream what follows its cursor. Then calls `join` with the user's conversations, in the turn of the
   * event loop from which on the session is to receive live events. Resolves after that, or when the session has
   * closed. Never rejects.
   */
  async resumeStream(
    session: Session,
    cursor: StreamCursor,
    epoch: number,
    join: (conversations: readonly string[]) => void,
  ): Promise<void> {
    // Outside the slots: a cursor beyond the log must not delay other sessions.
    const isInLog = await this.#hasReached(session, cursor, epoch)
    await this.#run(new StreamResume(session, { cursor, epoch, isInLog, join }, this.#parts))
  }

  /**
   * Waits for the live feed to reach a cursor that another node handed out. Resolves to false when the log does not
   * reach it.
   */
  async #hasReached(session: Session, cursor: StreamCursor, epoch: number): Promise<boolean> {
    if (isUnreachable(cursor)) return false
    const { feed, lostEvents } = this.#parts
    // The log never reaches lost events.
    const isBehind = (): boolean =>
      feed.positions().some(({ stream, streamSeq }) => {
        const known = cursor.get(stream) ?? 0
        return streamSeq < known && known <= lostEvents.keptUpTo(stream, epoch)
      })
    for (const until = performance.now() + this.#limits.rosterWaitMs; isBehind() && !session.closed; ) {
      if (performance.now() > until) return false
      await sleep(cursorCheckMs)
    }
    return true
  }

  /** Runs rounds until the session has received everything or has closed. Never rejects. */
  async #run(resume: Resume): Promise<void> {
    const { session } = resume
    let feedWaitMs = firstFeedWaitMs
    for (let failures = 0; !session.closed; )
      try {
        const result = await this.#slots.run(session.user, () => this.#round(resume))
        if (result === 'done') break
        failures = 0
        if (result === 'wait') {
          await sleep(feedWaitMs)
          feedWaitMs = Math.min(feedWaitMs * 2, longestFeedWaitMs)
          continue
        }
        feedWaitMs = firstFeedWaitMs
        // A round of cached conversations waits for nothing, so that all rounds of a session would be one turn.
        await setImmediate()
        // Outside the slot: others read while this client does not.
        if (result === 'full') await this.#parts.writeRoom.room(session)
      } catch (error) {
        const wait = retryMs[failures++]
        if (wait === undefined) {
          // The client keeps its cursors and reconnects: nothing was sent that could be wrong.
          this.#parts.logger.warn({ session: session.id, err: error }, 'missed events cannot be read')
          session.end(CloseCode.goingAway, 'missed events cannot be read')
        } else await sleep(wait)
      }
    if (resume.sentEvents > 0) this.#parts.onResumed(resume.sentEvents)
  }

  async #round(resume: Resume): Promise<RoundResult> {
    if (resume.session.closed) return 'done'
    const round = await resume.start((...args) => this.#begin(resume, ...args))
    try {
      const missed = await this.#read(resume, round)
      return resume.session.closed ? 'done' : resume.deliver(round, missed)
    } finally {
      this.#rounds.delete(round)
    }
  }

  #begin({ session }: Resume, ...[conversations, { isForAll, until }]: Parameters<BeginRound>): Round {
    const round = new Round(session.user, conversations, {
      positions: until ?? this.#parts.feed.positions(),
      isCurrent: until === undefined,
      isForAll,
      maxEvents: this.#limits.resumeBuffer,
    })
    this.#rounds.add(round)
    return round
  }

  /** Reads what the session missed, several conversations at a time. Never rejects. */
  async #read(resume: Resume, round: Round): Promise<ReadonlyMap<string, Missed>> {
    const missed = new Map<string, Missed>()
    const budget = { bytes: resume.maxBytes }
    const waiting = [...round.conversations].reverse()
    const read = async (): Promise<void> => {
      for (let c = waiting.pop(); c !== undefined && !resume.session.closed; c = waiting.pop())
        missed.set(c, await this.#readOne(resume, round, c, budget).catch(error => ({ ...nothing, error })))
    }
    await Promise.all(Array.from({ length: Math.min(readsPerRound, waiting.length) }, read))
    return missed
  }

  /** Reads what the session missed of one conversation, up to the positions at which the round began. */
  async #readOne(resume: Resume, round: Round, c: string, budget: { bytes: number }): Promise<Missed> {
    let admitted: Awaited<ReturnType<Resume['admit']>>
    try {
      admitted = await resume.admit(c)
    } catch (error) {
      if (isTemporary(error)) throw error
      return { ...nothing, refetch: await this.#unreadable(resume.session, c, error) }
    }
    if (admitted === undefined) return nothing
    if ('refetch' in admitted) return { ...nothing, refetch: admitted.refetch }
    const { readable } = admitted
    const { view } = readable
    // The stream may have been added after the round began.
    const until = sequenceIn(cursorOf(round.positions), view.stream, this.#parts.feed.positions())
    const events: WireEvent[] = []
    let bytes = 0
    const done = (isComplete: boolean): Missed => {
      if (isComplete || resume.sendsParts) budget.bytes -= bytes
      return { readable, events, isComplete }
    }
    let { cursor } = admitted
    while ('seq' in cursor ? cursor.seq < view.head : cursor.streamSeq < view.streamSeq) {
      if (bytes >= budget.bytes) return done(false)
      const page = await this.#parts.reads.after(readable, cursor).catch(emptyIfDamaged)
      // The client continues with the first event that the user may read.
      if (page === undefined) return { ...nothing, readable, refetch: { reason: 'too_far', head: view.head } }
      const last = page.at(-1)
      if (last === undefined) {
        // This build does not know the next event, or the log has lost it. The client has to continue after it.
        this.#parts.logger.warn({ c, ...cursor }, 'stored event cannot be read')
        return { ...nothing, readable, refetch: { reason: 'too_far', head: view.head } }
      }
      for (const event of page) {
        if (event.streamSeq > until) return done(true)
        if (bytes >= budget.bytes || events.length === Limits.resumeEvents) return done(false)
        events.push(event)
        bytes += event.wire.json.length
      }
      cursor = { seq: last.seq }
    }
    return done(true)
  }

  /**
   * The state of a conversation cannot be loaded: this build cannot read one of its events, or the log has lost some.
   * Retrying would not help, and closing the session would take all other conversations from its user. The roster says
   * whether the user is a member.
   */
  async #unreadable({ user, id }: Session, c: string, error: unknown): Promise<Refetch> {
    const isMember = await this.#parts.memberships.of(user, conversations => conversations.has(c))
    if (!isMember) return { reason: 'not_member', head: 0 }
    this.#parts.logger.warn({ session: id, c, err: error }, 'state of a conversation cannot be read')
    return { reason: 'too_far', head: await this.#parts.reader.lastSeq(c) }
  }
}

const nothing: Missed = { events: [], isComplete: true }

/** Returns an empty page when the log has lost events: a retry would not help. Rethrows any other error. */
const emptyIfDamaged = (error: unknown): readonly WireEvent[] => {
  if (LogDamagedError.is(error)) return []
  throw error
}

/** Whether reading a state may succeed later: the log cannot be reached, or is too busy. */
const isTemporary = (error: unknown): boolean =>
  ConfabError.is(error) && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED')
