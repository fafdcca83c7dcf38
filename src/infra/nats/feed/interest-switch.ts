/** The load of a node's live feed, averaged over about a second. */
export interface FeedLoad {
  /** Events of the whole system, a second. */
  readonly events: number
  /** Share of the events that this node needs, 0 to 1. */
  readonly share: number
  /** Conversations of the clients of this node. */
  readonly conversations: number
  /** Conversations that got their first client, a second. */
  readonly arrivals: number
}

/** CPU time of edge node and NATS together, µs (`npm run bench -- interest`; docs/adr/0030, 0031). */
const Cost = {
  /** An event that a wildcard subscription delivers and that the node does not need. */
  delivered: 3.8,
  /** An event in a digest. */
  digested: 0.4,
  /** Starting and ending the two subscriptions of a conversation: to its events and to its signals. */
  conversation: 28,
}

/** Savings, in µs a second, above which a node narrows its feed, and below which it follows all events again. */
export interface Worth {
  readonly narrow: number
  readonly wide: number
}

/** 5 % and 2 % of a core. */
const defaultWorth: Worth = { narrow: 50_000, wide: 20_000 }
/** Conversations that a node follows by subscriptions: two each, of 2.8 kB, in the edge node and NATS together. */
export const maxConversations = 100_000
/** Consecutive checks that have to agree. */
const agreeingChecks = 5

/** Decides whether a node follows all events or those it needs, by the cost at its load, with hysteresis. */
export class InterestSwitch {
  readonly #worth: Worth
  #isNarrow = false
  #agreeing = 0

  constructor(worth = defaultWorth) {
    this.#worth = worth
  }

  /** Whether a node with this load should be narrow. Call it about once a second. */
  isNarrow(load: FeedLoad): boolean {
    const saved = savedBy(load)
    const isOther = this.#isNarrow
      ? saved < this.#worth.wide || load.conversations > 1.2 * maxConversations
      : saved > this.#worth.narrow && load.conversations <= maxConversations
    this.#agreeing = isOther ? this.#agreeing + 1 : 0
    if (this.#agreeing < agreeingChecks) return this.#isNarrow
    this.#agreeing = 0
    this.#isNarrow = !this.#isNarrow
    return this.#isNarrow
  }

  /** Starts from the wide state again, after the node failed to become or to stay narrow. */
  reset(): void {
    this.#isNarrow = false
    this.#agreeing = 0
  }
}

/** CPU time that narrow interest saves, µs a second. The events that the node needs cost the same in both modes. */
const savedBy = ({ events, share, arrivals }: FeedLoad): number =>
  events * ((1 - share) * Cost.delivered - Cost.digested) - arrivals * Cost.conversation
