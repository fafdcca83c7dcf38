/** What a node has to do with the live feed, over about a second. */
export interface FeedLoad {
  /** Events of the whole system, a second. */
  readonly events: number
  /** Which part of them is wanted here, 0 to 1. */
  readonly share: number
  /** Conversations that are wanted for long. */
  readonly conversations: number
  /** How many of them have come to be, a second. */
  readonly arrivals: number
}

/** CPU of edge and NATS, µs (`npm run bench -- interest`; docs/adr/0030). */
const Cost = {
  /** An event that a wildcard brings, and that nobody wants. */
  brought: 3.8,
  /** An event that a digest tells of. */
  told: 0.4,
  /** A subscription that is made and ended. */
  subscription: 14,
}

/** Saved µs a second from which on a node follows conversations, and below which everything again. */
export interface Worth {
  readonly narrow: number
  readonly wide: number
}

/** 5 % and 2 % of a core. */
const defaultWorth: Worth = { narrow: 50_000, wide: 20_000 }
/** How many conversations a node may follow by a subscription each: 2.8 kB each, edge and NATS together. */
export const mostConversations = 100_000
/** Looks in a row that have to agree. */
const looks = 5

/** Decides whether a node follows everything or its own conversations, by what that costs at its load: not for a moment's sake, and not back and forth. */
export class InterestSwitch {
  readonly #worth: Worth
  #isNarrow = false
  #agreeing = 0

  constructor(worth = defaultWorth) {
    this.#worth = worth
  }

  /** What a node of that load is to do now, told about once a second. */
  isNarrow(load: FeedLoad): boolean {
    const saved = savedBy(load)
    const isOther = this.#isNarrow
      ? saved < this.#worth.wide || load.conversations > 1.2 * mostConversations
      : saved > this.#worth.narrow && load.conversations <= mostConversations
    this.#agreeing = isOther ? this.#agreeing + 1 : 0
    if (this.#agreeing < looks) return this.#isNarrow
    this.#agreeing = 0
    this.#isNarrow = !this.#isNarrow
    return this.#isNarrow
  }

  /** It could not be done, or did not do: everything is followed, and the looks are counted anew. */
  widened(): void {
    this.#isNarrow = false
    this.#agreeing = 0
  }
}

/** µs a second that following the wanted conversations takes less than following everything. What is wanted is brought either way. */
const savedBy = ({ events, share, arrivals }: FeedLoad): number =>
  events * ((1 - share) * Cost.brought - Cost.told) - arrivals * Cost.subscription
