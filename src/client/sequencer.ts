import type { ConversationEvent, RefetchReason } from '../events/index.ts'

export interface SequencerOptions {
  /** How long a gap may stay open before it is asked for, ms. Asked again at twice the interval each time. */
  readonly gapMs: number
  /** Events held over all gaps; beyond it later ones are let go, and asked for when their turn comes. Default 5,000. */
  readonly heldLimit?: number
  /** Gets every event of a conversation in order, once. */
  deliver(event: ConversationEvent): void
  /** Asks the server for what follows these cursors. May do nothing while there is no connection: connecting resumes. */
  sync(cursors: Record<string, number>): void
  /** The user, whose leaving ends a conversation. */
  user(): string | undefined
}

interface Order {
  readonly c: string
  /** `following` after `last`; `refetching` until there is a new cursor; `left` until something new comes. */
  phase: 'following' | 'refetching' | 'left'
  /** seq of the last event that was delivered. */
  last: number
  /** The highest seq known to exist: over `last` there is a gap. */
  head: number
  readonly held: Map<number, ConversationEvent>
  timer: ReturnType<typeof setTimeout> | undefined
  asked: number
}

const longestGapMs = 30_000

/** Puts the events of each conversation in order: applies last + 1 only, drops what it has, holds what is ahead, asks for what stays missing. */
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

  /** The server has sent all up to `seq`. Returns whether all of it was delivered; what was not is asked for again. */
  synced(c: string, seq: number): boolean {
    const order = this.#orders.get(c) ?? this.#start(c, seq)
    // The user follows a channel from here on, again or for the first time: no event says so.
    if (order.phase === 'left') {
      order.phase = 'following'
      order.last = seq
    }
    if (order.phase !== 'following') return false
    order.head = Math.max(order.head, seq)
    this.#settle(order)
    return order.last >= seq
  }

  /** The server will not fill the gap: nothing is delivered until `setCursor`, or, when the user is out of it, until it is in again. */
  refetch(c: string, reason: RefetchReason): void {
    const order = this.#orders.get(c) ?? this.#start(c, 0)
    order.phase = reason === 'not_member' ? 'left' : 'refetching'
    this.#release(order)
  }

  /** Events up to `seq` are known from elsewhere. Only forward, but after a refetch, when it may be anything. */
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

  /** The last delivered seq of each conversation that is followed. */
  cursors(): Record<string, number> {
    const cursors: Record<string, number> = {}
    for (const { c, phase, last } of this.#orders.values()) if (phase === 'following') cursors[c] = last
    return cursors
  }

  /** The last delivered seq of a conversation; undefined when none is followed. */
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
    if (event.type !== 'member.left' || event.user !== this.#options.user()) return
    order.phase = 'left'
    this.#release(order)
  }

  /** Delivers what is held and due, and sees to it that a gap that is left is asked for. */
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
