import { setTimeout as sleep } from 'node:timers/promises'
import type { LiveFeed } from '../../commands/index.ts'
import { ConfabError, type ConversationEvent, type Position, type UserEvent } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'

/** Who came into a conversation, or left it, by one event; of its own log, or of a user's that follows it. */
export interface MembershipChange {
  readonly c: string
  readonly joined: readonly string[]
  readonly left: string | undefined
}

interface RecentChange extends MembershipChange, Position {}

const nobody: readonly string[] = []
const rosterPollMs = 10
const trimMs = 1_000

/** What an event changes in who is a member; undefined for a change of role. */
export const membershipChange = (event: ConversationEvent | UserEvent): MembershipChange | undefined => {
  switch (event.type) {
    case 'conversation.created':
      return { c: event.c, joined: event.members.map(member => member.user), left: undefined }
    case 'member.joined':
      return { c: event.c, joined: [event.user], left: undefined }
    case 'member.left':
      return { c: event.c, joined: nobody, left: event.user }
    case 'channel.followed':
      return { c: event.c, joined: [event.u], left: undefined }
    case 'channel.unfollowed':
      return { c: event.c, joined: nobody, left: event.u }
    default:
      return undefined
  }
}

/**
 * Which conversations a user is in, exactly as of what the live feed has delivered: the roster view, and the changes that it may lack. Those are remembered
 * until the roster has them, or until there are too many: then the roster is waited for.
 */
export class Memberships {
  readonly #views: Views
  readonly #feed: LiveFeed
  readonly #bound: number
  readonly #waitMs: number
  #recent: RecentChange[] = []
  /** By stream: every change after it is in `#recent`. */
  readonly #floors = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  constructor(views: Views, feed: LiveFeed, options: { bound: number; waitMs: number }) {
    this.#views = views
    this.#feed = feed
    this.#bound = options.bound
    this.#waitMs = options.waitMs
    this.#timer = setInterval(() => void this.#trim(), trimMs).unref()
  }

  /** Every event of the feed has to come by here, changes in membership or not, brought or passed over. */
  saw(event: Position, change: MembershipChange | undefined): void {
    if (!this.#floors.has(event.stream)) this.#floors.set(event.stream, event.streamSeq - 1)
    if (change === undefined) return
    this.#recent.push({ ...change, stream: event.stream, streamSeq: event.streamSeq })
    if (this.#recent.length > this.#bound) this.#forget(this.#bound >> 1)
  }

  /**
   * Hands a user's conversations to `use`, which must not wait: until it returns, no event of the feed comes in between. Rejects with ConfabError UNAVAILABLE
   * when the roster does not come near enough to the feed.
   */
  async of<T>(user: string, use: (conversations: Set<string>) => T): Promise<T> {
    for (const until = performance.now() + this.#waitMs; ; ) {
      const { conversations, positions } = await this.#views.roster.conversationsOf(user)
      if (this.#covers(positions)) {
        const mine = new Set(conversations)
        this.#apply(user, positions, mine)
        return use(mine)
      }
      if (performance.now() > until)
        throw new ConfabError(
          'UNAVAILABLE',
          'The list of your conversations is being brought up to date; try again.',
        )
      await sleep(rosterPollMs)
    }
  }

  /** Whether the roster is near enough for `of` to answer at once. */
  async areKnown(): Promise<boolean> {
    return this.#covers(await this.#views.positions('roster'))
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #covers(roster: readonly Position[]): boolean {
    return this.#feed.positions().every(({ stream, streamSeq }) => {
      const held = roster.find(position => position.stream === stream)?.streamSeq ?? 0
      return held >= (this.#floors.get(stream) ?? streamSeq)
    })
  }

  #apply(user: string, roster: readonly Position[], mine: Set<string>): void {
    for (const change of this.#recent) {
      if (change.left !== user && !change.joined.includes(user)) continue
      const held = roster.find(position => position.stream === change.stream)?.streamSeq ?? 0
      if (change.streamSeq <= held) continue
      if (change.left === user) mine.delete(change.c)
      else mine.add(change.c)
    }
  }

  /** Drops the oldest changes, so many of them. */
  #forget(count: number): void {
    for (const { stream, streamSeq } of this.#recent.splice(0, count)) this.#floors.set(stream, streamSeq)
  }

  /** Drops what the roster has. */
  async #trim(): Promise<void> {
    if (this.#recent.length === 0) return
    const roster = await this.#views.positions('roster').catch(() => [])
    const held = new Map(roster.map(({ stream, streamSeq }) => [stream, streamSeq]))
    const kept = this.#recent.findIndex(({ stream, streamSeq }) => streamSeq > (held.get(stream) ?? 0))
    this.#forget(kept < 0 ? this.#recent.length : kept)
  }
}
