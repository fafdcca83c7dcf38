import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../base/logger.ts'
import { Semaphore } from '../../base/semaphore.ts'
import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { CloseCode, Limits, type RefetchReason } from '../../events/index.ts'
import { isIn, isInNow } from '../access/access.ts'
import type { FanOut } from '../delivery/fan-out.ts'
import type { Wire } from '../delivery/wire.ts'
import { push, pushObject } from '../sessions/outbox.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import type { SharedReads } from './shared-reads.ts'

interface LiveEvent {
  readonly seq: number
  readonly wire: Wire
}

/** A conversation whose missed events are being sent to a session. */
interface Fill {
  readonly session: Session
  readonly c: string
  /** What came live meanwhile; undefined when it was too much. */
  live: LiveEvent[] | undefined
  liveBytes: number
  /** The user was removed meanwhile. */
  removed: boolean
}

type Outcome = { readonly synced: number } | { readonly refetch: RefetchReason; readonly head: number }

const lookAgainMs = 5
/** Bytes to send before looking whether the socket takes them; as many may wait as live events. */
const stepBytes = 256 * 1024
/** Conversations of one session that are filled before others get their turn. */
const turnConversations = 32
const retryMs = [50, 200, 1_000, 4_000]

/**
 * Sends what sessions have missed, exactly: the missed events, in order, each once, then the live ones. It listens first, reads the timeline and the log next,
 * and lets the session have the conversation's live events in the very turn in which it has all that this node has had of them.
 */
export class Resumer {
  readonly #states: StateReader
  readonly #feed: LiveFeed
  readonly #tails: SharedReads
  readonly #fanOut: FanOut
  readonly #writeRoom: WriteRoom
  readonly #logger: Logger
  readonly #buffer: number
  readonly #most: number
  readonly #onResumed: (events: number) => void
  readonly #turns: Semaphore
  readonly #fills = new Map<string, Fill[]>()
  /** What a session asked for last: what it asks for next comes after that, so that it never has more than one turn. */
  readonly #asked = new WeakMap<Session, Promise<void>>()

  constructor(
    parts: {
      states: StateReader
      feed: LiveFeed
      tails: SharedReads
      fanOut: FanOut
      writeRoom: WriteRoom
      logger: Logger
      onResumed: (events: number) => void
    },
    limits: { resumes: number; resumeBuffer: number; resumeConversations: number },
  ) {
    this.#states = parts.states
    this.#feed = parts.feed
    this.#tails = parts.tails
    this.#fanOut = parts.fanOut
    this.#writeRoom = parts.writeRoom
    this.#logger = parts.logger
    this.#onResumed = parts.onResumed
    this.#buffer = limits.resumeBuffer
    this.#most = limits.resumeConversations
    this.#turns = new Semaphore(limits.resumes)
  }

  /** Whether live events of a conversation have to come by `offer`. */
  isFilling(c: string): boolean {
    return this.#fills.has(c)
  }

  /** Every live event of a conversation that is being filled. */
  offer(c: string, seq: number, wire: Wire): void {
    for (const fill of this.#fills.get(c) ?? []) {
      if (fill.live === undefined) continue
      fill.liveBytes += wire.json.length
      if (fill.live.length < this.#buffer && fill.liveBytes < stepBytes) fill.live.push({ seq, wire })
      else fill.live = undefined
    }
  }

  /** Whether a session waits for as many conversations as it may. */
  isFull(session: Session): boolean {
    return (session.filling?.size ?? 0) >= this.#most
  }

  /** A user is out of a conversation: what it missed there is not to be had any more. */
  removed(c: string, user: string): void {
    for (const fill of this.#fills.get(c) ?? []) if (fill.session.user === user) fill.removed = true
  }

  /** Fills conversations one after another, and says `synced` or `refetch` for each. Resolves when it is done, or the session has gone; never rejects. */
  async resume(session: Session, cursors: Readonly<Record<string, number>>): Promise<void> {
    // One that is being filled already gets all there is by that.
    const conversations = Object.keys(cursors).filter(c => !session.filling?.has(c))
    if (conversations.length > 0) session.filling ??= new Set()
    for (const c of conversations) {
      session.filling?.add(c)
      this.#fanOut.unsubscribe(session, c)
      session.behind?.delete(c)
    }
    const before = this.#asked.get(session)
    const done = this.#inTurns(session, conversations, cursors, before)
    this.#asked.set(session, done)
    await done
  }

  /** A turn is of a few conversations: whoever has one waits for a part only of what others with very many have asked for. */
  async #inTurns(
    session: Session,
    conversations: readonly string[],
    cursors: Readonly<Record<string, number>>,
    before: Promise<void> | undefined,
  ): Promise<void> {
    await before
    for (let at = 0; at < conversations.length && !session.closed; at += turnConversations)
      await this.#turns.run(async () => {
        for (const c of conversations.slice(at, at + turnConversations))
          if (!session.closed) await this.#resumeOne(session, c, cursors[c]!)
      })
  }

  async #resumeOne(session: Session, c: string, cursor: number): Promise<void> {
    const fill: Fill = { session, c, live: [], liveBytes: 0, removed: false }
    this.#fills.set(c, [...(this.#fills.get(c) ?? []), fill])
    let sent = cursor
    const send = (seq: number, wire: Wire): void => {
      push(session, wire.frame(session.encoding))
      sent = seq
    }
    try {
      for (let attempt = 0; !session.closed; attempt++) {
        try {
          await this.#fill(fill, () => sent, send)
          break
        } catch (error) {
          const wait = retryMs[attempt]
          if (wait === undefined) throw error
          await sleep(wait)
        }
      }
    } catch (error) {
      // Nothing true can be said of what it missed. It comes again, with its cursors.
      this.#logger.warn({ session: session.id, err: error }, 'could not read what a session missed')
      session.end(CloseCode.goingAway, 'missed events cannot be read')
    } finally {
      this.#onResumed(sent - cursor)
      const rest = this.#fills.get(c)?.filter(other => other !== fill) ?? []
      if (rest.length === 0) this.#fills.delete(c)
      else this.#fills.set(c, rest)
    }
  }

  async #fill(fill: Fill, sent: () => number, send: (seq: number, wire: Wire) => void): Promise<void> {
    const { session, c } = fill
    /** Stream sequence of the last event that was sent from the store. */
    let sentAt = 0
    let view = await this.#states.conversation(c)
    let refusal = refusalOf(view, await isIn(this.#states, view, session.user), sent())
    if (refusal !== undefined) {
      // Another node may be ahead: there the session has been until now, or somebody has just let its user in.
      view = await this.#states.currentConversation(c)
      refusal = refusalOf(view, await isInNow(this.#states, view, session.user), sent())
    }
    if (refusal !== undefined) {
      this.#finish(fill, view, refusal)
      return
    }
    if (view !== undefined && sent() === view.head) sentAt = view.streamSeq
    while (!session.closed) {
      if (sent() < view!.head) sentAt = (await this.#sendStored(fill, view!, sent, send)) ?? sentAt
      view = await this.#states.conversation(c)
      let isMember = isIn(this.#states, view, session.user)
      if (isMember instanceof Promise) {
        isMember = await isMember
        view = await this.#states.conversation(c)
      }
      // From here to the end there is no waiting: what the feed delivers comes before all of it or after.
      if (fill.removed || view === undefined || !isMember) {
        this.#finish(fill, view, { refetch: 'not_member', head: 0 })
        return
      }
      const contiguous = sendLive(fill, sent, send)
      fill.live = []
      fill.liveBytes = 0
      const delivered = this.#feed.position(view.stream) ?? 0
      if (contiguous && sent() >= sinceDelivered(view, delivered) && sentAt <= delivered) {
        this.#finish(fill, view, { synced: sent() })
        return
      }
      await sleep(lookAgainMs)
    }
  }

  /** Sends what the timeline and the log have after what was sent, up to the view's head. The stream sequence of the last of it. */
  async #sendStored(
    fill: Fill,
    view: ConversationView,
    sent: () => number,
    send: (seq: number, wire: Wire) => void,
  ): Promise<number | undefined> {
    let sentAt: number | undefined
    let bytes = 0
    while (sent() < view.head) {
      const events = await this.#tails.after(view, sent())
      if (events.length === 0) break
      for (const { seq, streamSeq, wire } of events) {
        if (fill.removed || fill.session.closed) return sentAt
        send(seq, wire)
        sentAt = streamSeq
        bytes += wire.json.length
        if (bytes < stepBytes) continue
        bytes = 0
        await this.#writeRoom.room(fill.session)
      }
    }
    return sentAt
  }

  /** Tells how it went, and from now on lets a member's session have the live events. All in one turn. */
  #finish(fill: Fill, view: ConversationView | undefined, outcome: Outcome): void {
    const { session, c } = fill
    session.filling?.delete(c)
    if (session.filling?.size === 0) session.filling = undefined
    if (session.closed) return
    if ('synced' in outcome) pushObject(session, { t: 'synced', c, seq: outcome.synced })
    else pushObject(session, { t: 'refetch', c, head: outcome.head, reason: outcome.refetch })
    const wasOut = 'refetch' in outcome && outcome.refetch === 'not_member'
    // Since that was looked up, somebody may have taken the user out, or let it in.
    const isMember = isIn(this.#states, view, session.user) === true || (!wasOut && !fill.removed)
    if (isMember) this.#fanOut.subscribe(session, c)
  }
}

const refusalOf = (
  view: ConversationView | undefined,
  isMember: boolean,
  cursor: number,
): Outcome | undefined => {
  if (view === undefined || !isMember) return { refetch: 'not_member', head: 0 }
  if (cursor > view.head) return { refetch: 'unknown', head: view.head }
  if (view.head - cursor > Limits.resumeEvents) return { refetch: 'too_far', head: view.head }
  return undefined
}

/** Sends what came live after what was read. Whether there was no hole in between. */
const sendLive = (fill: Fill, sent: () => number, send: (seq: number, wire: Wire) => void): boolean => {
  if (fill.live === undefined) return false
  for (const { seq, wire } of fill.live) {
    if (seq <= sent()) continue
    if (seq !== sent() + 1) return false
    send(seq, wire)
  }
  return true
}

/** Of what the feed has delivered, the conversation's last seq at least. The state may be ahead of the feed: what this node appended itself comes live yet. */
const sinceDelivered = (view: ConversationView, delivered: number): number =>
  view.streamSeq <= delivered ? view.head : 0
