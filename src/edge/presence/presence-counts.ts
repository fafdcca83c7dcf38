import type { ConversationView } from '../../commands/index.ts'
import type { Presence } from '../../events/index.ts'
import { RecentKeys } from '../limits/recent-keys.ts'

export interface PresenceCount {
  /** Number of members that are not offline. */
  readonly online: number
  /** Number of members. */
  readonly of: number
  /** Given when `online` is an estimate. */
  readonly approximate?: true
}

interface Counted {
  until: number
  count: PresenceCount
}

/** Time for which a count is reused, ms: all members of a channel may ask at once. */
const freshMs = 2_000
/** Conversations whose counts are kept. */
const maxCounts = 1_000

/**
 * Counts the members of a conversation that are not offline. Above `maxExact` members it counts that many, evenly
 * spread, and extrapolates.
 */
export class PresenceCounts {
  readonly #maxExact: number
  readonly #stateOf: (user: string) => Presence
  readonly #counted = new RecentKeys<Counted>(maxCounts, () => ({ until: 0, count: { online: 0, of: 0 } }))

  constructor(maxExact: number, stateOf: (user: string) => Presence) {
    this.#maxExact = maxExact
    this.#stateOf = stateOf
  }

  /** The count of those of the users that are members, without the others, who look offline. */
  ofShown(conversation: ConversationView, shown: ReadonlySet<string>): PresenceCount {
    let online = 0
    for (const user of conversation.members())
      if (shown.has(user) && this.#stateOf(user) !== 'offline') online++
    return { online, of: conversation.memberCount }
  }

  /** The count of a conversation, or the last one if it is fresh. `now` as by `performance.now()`. */
  of(conversation: ConversationView, now: number): PresenceCount {
    const counted = this.#counted.of(conversation.c)
    if (now >= counted.until || counted.count.of !== conversation.memberCount) {
      counted.count = this.#count(conversation)
      counted.until = now + freshMs
    }
    return counted.count
  }

  #count({ memberCount, members }: ConversationView): PresenceCount {
    const step = Math.ceil(memberCount / this.#maxExact)
    let counted = 0
    let online = 0
    let index = 0
    for (const user of members()) {
      if (index++ % step !== 0) continue
      counted++
      if (this.#stateOf(user) !== 'offline') online++
    }
    if (step <= 1) return { online, of: memberCount }
    return { online: Math.round((online * memberCount) / counted), of: memberCount, approximate: true }
  }
}
