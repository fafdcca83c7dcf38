import { sleep } from '../../base/sleep.ts'
import type { LiveFeed } from '../../commands/index.ts'
import { ConfabError, type ConversationEvent, type Position, type UserEvent } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'
import type { ViewPositions } from './view-freshness.ts'

/** The users that join or leave a conversation by one event, of the conversation's log or of a follower's. */
export interface MembershipChange {
  readonly c: string
  readonly joined: readonly string[]
  readonly left: string | undefined
}

interface RecentChange extends MembershipChange, Position {}

const none: readonly string[] = []
const retryMs = 10
const trimMs = 1_000

/** Returns how an event changes the members of a conversation; undefined when it does not. */
export const membershipChange = (event: ConversationEvent | UserEvent): MembershipChange | undefined => {
  switch (event.type) {
    case 'conversation.created':
      return { c: event.c, joined: event.members.map(member => member.user), left: undefined }
    case 'member.joined':
      return { c: event.c, joined: [event.user], left: undefined }
    case 'member.left':
    case 'member.banned':
      return { c: event.c, joined: none, left: event.user }
    case 'channel.followed':
      return { c: event.c, joined: [event.u], left: undefined }
    case 'channel.unfollowed':
      return { c: event.c, joined: none, left: event.u }
    default:
      return undefined
  }
}

/**
 * The conversations of each user, exactly as of what the live feed has delivered: the roster view, and the recent
 * changes that the view lacks. It remembers changes until the view has them, up to a bound; beyond it, requests wait
 * for the view.
 */
export class Memberships {
  readonly #views: Views
  readonly #positions: ViewPositions
  readonly #feed: LiveFeed
  readonly #bound: number
  readonly #waitMs: number
  #recent: RecentChange[] = []
  /** For each stream the sequence after which `#recent` has every change. */
  readonly #floors = new Map<string, number>()
  readonly #timer: NodeJS.Timeout

  constructor(
    parts: { readonly views: Views; readonly positions: ViewPositions; readonly feed: LiveFeed },
    options: { readonly bound: number; readonly waitMs: number },
  ) {
    this.#views = parts.views
    this.#positions = parts.positions
    this.#feed = parts.feed
    this.#bound = options.bound
    this.#waitMs = options.waitMs
    this.#timer = setInterval(() => void this.#trim(), trimMs).unref()
  }

  /** Takes every event that the feed delivered or passed over, with its change of membership if it has one. */
  saw(event: Position, change: MembershipChange | undefined): void {
    if (!this.#floors.has(event.stream)) this.#floors.set(event.stream, event.streamSeq - 1)
    if (change === undefined) return
    this.#recent.push({ ...change, stream: event.stream, streamSeq: event.streamSeq })
    if (this.#recent.length > this.#bound) this.#forget(this.#bound >> 1)
  }

  /**
   * Calls `use` with a user's conversations. `use` is synchronous: the feed delivers no event before it returns. All
   * requests that wait for the roster share its position queries. Rejects with ConfabError UNAVAILABLE when the roster
   * does not catch up with the feed in time.
   */
  async of<T>(user: string, use: (conversations: Set<string>) => T): Promise<T> {
    const until = performance.now() + this.#waitMs
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0 || this.#positions.isAwaited('roster')) await this.#rosterCovers(until)
      const { conversations, positions } = await this.#views.roster.conversationsOf(user)
      if (this.#covers(positions)) {
        const mine = new Set(conversations)
        this.#apply(user, positions, mine)
        return use(mine)
      }
      // The look-up may reach another replica or generation of the view than the query of its positions did.
      if (attempt > 0) await sleep(retryMs)
    }
  }

  /** Whether the roster is near enough to the feed for `of` to answer at once. */
  async areKnown(): Promise<boolean> {
    return this.#covers(await this.#views.positions('roster'))
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #rosterCovers(until: number): Promise<void> {
    const ms = until - performance.now()
    if (ms > 0 && (await this.#positions.reached('roster', positions => this.#covers(positions), ms))) return
    throw new ConfabError(
      'UNAVAILABLE',
      'The list of your conversations is being brought up to date; try again.',
    )
  }

  #covers(roster: readonly Position[]): boolean {
    const applied = new Map(roster.map(({ stream, streamSeq }) => [stream, streamSeq]))
    return this.#feed
      .positions()
      .every(({ stream, streamSeq }) => (applied.get(stream) ?? 0) >= (this.#floors.get(stream) ?? streamSeq))
  }

  #apply(user: string, roster: readonly Position[], mine: Set<string>): void {
    for (const change of this.#recent) {
      if (change.left !== user && !change.joined.includes(user)) continue
      const applied = roster.find(position => position.stream === change.stream)?.streamSeq ?? 0
      if (change.streamSeq <= applied) continue
      if (change.left === user) mine.delete(change.c)
      else mine.add(change.c)
    }
  }

  /** Removes the oldest `count` changes. */
  #forget(count: number): void {
    for (const { stream, streamSeq } of this.#recent.splice(0, count)) this.#floors.set(stream, streamSeq)
  }

  /** Removes the changes that the roster has. */
  async #trim(): Promise<void> {
    if (this.#recent.length === 0) return
    const roster = await this.#views.positions('roster').catch(() => [])
    const applied = new Map(roster.map(({ stream, streamSeq }) => [stream, streamSeq]))
    const kept = this.#recent.findIndex(({ stream, streamSeq }) => streamSeq > (applied.get(stream) ?? 0))
    this.#forget(kept < 0 ? this.#recent.length : kept)
  }
}
