import type { ConversationView } from '../../commands/index.ts'
import type { Presence } from '../../events/index.ts'
import { RecentKeys } from '../limits/rate-limits.ts'

export interface PresenceCount {
  /** Members that are not offline. */
  readonly online: number
  /** Members. */
  readonly of: number
  /** `online` was estimated. */
  readonly approximate?: true
}

interface Counted {
  until: number
  count: PresenceCount
}

/** How long a count is taken for true, ms: all members of a channel may ask at once. */
const freshMs = 2_000
/** Conversations whose counts are remembered. */
const most = 1_000

/** How many members of a conversation are here. Of more than `exactly` as many are looked at, evenly spread over them, and the rest taken to be like those. */
export class PresenceCounts {
  readonly #exactly: number
  readonly #stateOf: (user: string) => Presence
  readonly #counted = new RecentKeys<Counted>(most, () => ({ until: 0, count: { online: 0, of: 0 } }))

  constructor(exactly: number, stateOf: (user: string) => Presence) {
    this.#exactly = exactly
    this.#stateOf = stateOf
  }

  /** `now` as by `performance.now()`. */
  of(conversation: ConversationView, now: number): PresenceCount {
    const counted = this.#counted.of(conversation.c)
    if (now >= counted.until || counted.count.of !== conversation.memberCount) {
      counted.count = this.#count(conversation)
      counted.until = now + freshMs
    }
    return counted.count
  }

  #count({ memberCount, members }: ConversationView): PresenceCount {
    const step = Math.ceil(memberCount / this.#exactly)
    let looked = 0
    let online = 0
    let index = 0
    for (const user of members()) {
      if (index++ % step !== 0) continue
      looked++
      if (this.#stateOf(user) !== 'offline') online++
    }
    if (step <= 1) return { online, of: memberCount }
    return { online: Math.round((online * memberCount) / looked), of: memberCount, approximate: true }
  }
}
