import type { ConversationEvent, RefetchReason } from '../events/index.ts'

export interface SequencerOptions {
  /** How long a gap may stay open before events are requested, ms. Doubles with each request. */
  readonly gapMs: number
  /** Maximum number of held events over all gaps. Later ones are dropped and requested when needed. Default 5,000. */
  readonly heldLimit?: number
  /** Receives every event of a conversation in order, once. */
  deliver(event: ConversationEvent): void
  /** Requests the events after these cursors. May do nothing without a connection: connecting resumes. */
  sync(cursors: Record<string, number>): void
  /** Returns the user; leaving ends the user's conversation. */
  user(): string | undefined
}

interface Order {
  readonly c: string
  /** `following` after `last`; `refetching` until a new cursor is set; `left` until a new event arrives. */
  phase: 'following' | 'refetching' | 'left'
  /** seq of the last delivered event. */
  last: number
  /** The highest known seq; above `last` there is a gap. */
  head: number
  readonly held: Map<number, ConversationEvent>
  timer: ReturnType<typeof setTimeout> | undefined
  asked: number
}

/** Whether the event is the last one that its `user` receives. */
const endsMembership = (
  event: ConversationEvent,
): event is Extract<ConversationEvent, { type: 'member.left' | 'member.banned' }> =>
  event.type === 'member.left' || event.type === 'member.banned'

const longestGapMs = 30_000

/**
 * Orders the events of each conversation: delivers only last + 1, drops known events, holds later ones, and requests
 * missing ones.
 */
export class Sequencer {
  readonly #options: SequencerOptions
  readonly #heldLimit: number
  readonly #orders = new Map<string, Order>()
  #held = 0

  constructor(options: SequencerOptions, resume: Readonly<Record<string, number>> = {}) {
    this.#options = options
    this.#heldLimit = options.heldLimit ?? 5_000
    for (const [c, seq] of Object.entries(resume)) this.#start(c, seq)
  }

  accept(event: ConversationEvent): void {
    const { c, seq } = event
    const order = this.#orders.get(c) ?? this.#start(c, seq - 1)
    if (order.phase === 'left' && seq > order.last) {
      order.phase = 'following'
      order.last = seq - 1
    }
    order.head = Math.max(order.head, seq)
    if (order.phase === 'refetching' || seq > order.last + 1) this.#hold(order, event)
    else if (seq === order.last + 1) this.#apply(order, event)
    this.#settle(order)
  }

  /**
   * The server has sent everything up to `seq`. Returns whether all of it was delivered; missing events are requested
   * again.
   */
  synced(c: string, seq: number): boolean {
    const order = this.#orders.get(c) ?? this.#start(c, seq)
    // The user follows a channel, for the first time or again: no event of the conversation announces it.
    if (order.phase === 'left') {
      order.phase = 'following'
      order.last = seq
    }
    if (order.phase !== 'following') return false
    order.head = Math.max(order.head, seq)
    this.#settle(order)
    return order.last >= seq
  }

  /**
   * The server will not fill the gap: nothing is delivered until `setCursor`, or, for a former member, until the user
   * is a member again.
   */
  refetch(c: string, reason: RefetchReason): void {
    const order = this.#orders.get(c) ?? this.#start(c, 0)
    order.phase = reason === 'not_member' ? 'left' : 'refetching'
    this.#release(order)
  }

  /** Marks events up to `seq` as known. Moves only forward, except after a refetch. */
  setCursor(c: string, seq: number): void {
    const order = this.#orders.get(c) ?? this.#start(c, seq)
    if (order.phase === 'following' && seq <= order.last) return
    order.phase = 'following'
    order.last = seq
    order.head = seq
    for (const held of order.held.keys()) {
      if (held <= seq) this.#drop(order, held)
      else order.head = Math.max(order.head, held)
    }
    this.#settle(order)
  }

  /** Returns the last delivered seq of each followed conversation. */
  cursors(): Record<string, number> {
    const cursors: Record<string, number> = {}
    for (const { c, phase, last } of this.#orders.values()) if (phase === 'following') cursors[c] = last
    return cursors
  }

  /** Returns the last delivered seq of a conversation; undefined if it is not followed. */
  last(c: string): number | undefined {
    const order = this.#orders.get(c)
    return order?.phase === 'following' ? order.last : undefined
  }

  stop(): void {
    for (const order of this.#orders.values()) this.#release(order)
  }

  #start(c: string, last: number): Order {
    const order: Order = {
      c,
      phase: 'following',
      last,
      head: last,
      held: new Map(),
      timer: undefined,
      asked: 0,
    }
    this.#orders.set(c, order)
    return order
  }

  #hold(order: Order, event: ConversationEvent): void {
    if (this.#held >= this.#heldLimit || order.held.has(event.seq)) return
    order.held.set(event.seq, event)
    this.#held++
  }

  #drop(order: Order, seq: number): void {
    if (order.held.delete(seq)) this.#held--
  }

  #apply(order: Order, event: ConversationEvent): void {
    order.last = event.seq
    order.asked = 0
    this.#options.deliver(event)
    if (!endsMembership(event) || event.user !== this.#options.user()) return
    order.phase = 'left'
    this.#release(order)
  }

  /** Delivers held events that are due, and schedules a request for a remaining gap. */
  #settle(order: Order): void {
    if (order.phase !== 'following') return
    let next = order.held.get(order.last + 1)
    while (next !== undefined) {
      this.#drop(order, next.seq)
      this.#apply(order, next)
      if (order.phase !== 'following') return
      next = order.held.get(order.last + 1)
    }
    if (order.head <= order.last) {
      clearTimeout(order.timer)
      order.timer = undefined
    } else order.timer ??= setTimeout(() => this.#ask(order), this.#gapMs(order))
  }

  #ask(order: Order): void {
    order.timer = undefined
    order.asked++
    this.#options.sync({ [order.c]: order.last })
    this.#settle(order)
  }

  #gapMs = (order: Order): number =>
    Math.min(this.#options.gapMs * 2 ** order.asked, Math.max(longestGapMs, this.#options.gapMs))

  #release(order: Order): void {
    this.#held -= order.held.size
    order.held.clear()
    order.head = order.last
    clearTimeout(order.timer)
    order.timer = undefined
    order.asked = 0
  }
}
