import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { ConfabError } from '../../events/index.ts'

/** The error while the live feed may lack events: memberships are not known well enough to answer. */
const stale = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The log cannot be followed at the moment; try again.')

/** The same error whether the conversation does not exist or the user may not know of it. */
const notFound = (): ConfabError =>
  new ConfabError('NOT_FOUND', 'This conversation does not exist, or you are not a member of it.')

/**
 * Whether a user is a member of a conversation or follows the channel, by the states of this node. Answers without a
 * promise when the states are cached. Rejects with ConfabError.
 */
export const isIn = (
  states: StateReader,
  view: ConversationView | undefined,
  user: string,
): boolean | Promise<boolean> => {
  if (view === undefined) return false
  if (view.roleOf(user) !== undefined) return true
  if (view.kind !== 'channel') return false
  const follower = states.user(user)
  return follower instanceof Promise
    ? follower.then(found => found.follows(view.c))
    : follower.follows(view.c)
}

/** As `isIn`, by the logs as they are now. */
export const isInNow = async (
  states: StateReader,
  view: ConversationView | undefined,
  user: string,
): Promise<boolean> => {
  if (view === undefined) return false
  if (view.roleOf(user) !== undefined) return true
  return view.kind === 'channel' && (await states.currentUser(user)).follows(view.c)
}

/** Authorises reads by the state of the conversation, which the live feed keeps up to date. */
export class Access {
  readonly #states: StateReader
  readonly #feed: LiveFeed
  readonly #stalenessMs: number

  constructor(states: StateReader, feed: LiveFeed, stalenessMs: number) {
    this.#states = states
    this.#feed = feed
    this.#stalenessMs = stalenessMs
  }

  /** Throws ConfabError UNAVAILABLE when this node may lack events, such as a member's removal. */
  requireFresh(): void {
    if (this.#feed.staleness() > this.#stalenessMs) throw stale()
  }

  get isFresh(): boolean {
    return this.#feed.staleness() <= this.#stalenessMs
  }

  /**
   * Returns a conversation that a user is a member of. Answers without a promise when the state is cached and has event
   * `seen`, which another node may have sent to the client. Throws or rejects with ConfabError NOT_FOUND, NOT_MEMBER
   * (of a channel) or UNAVAILABLE. Requests read nothing else before this check.
   */
  member(c: string, user: string, seen = 0): ConversationView | Promise<ConversationView> {
    this.requireFresh()
    const found = this.#states.conversation(c)
    if (found instanceof Promise) return found.then(view => this.#memberOf(view, c, user, seen))
    return this.#memberOf(found, c, user, seen)
  }

  /** Refuses a user only by the current log: another node may just have added the user. */
  #memberOf(
    view: ConversationView | undefined,
    c: string,
    user: string,
    seen: number,
  ): ConversationView | Promise<ConversationView> {
    if (view !== undefined && view.head >= seen) {
      const known = isIn(this.#states, view, user)
      if (known === true) return view
      if (known instanceof Promise)
        return known.then(isMember => (isMember ? view : this.#currentOf(c, user)))
    }
    return this.#currentOf(c, user)
  }

  async #currentOf(c: string, user: string): Promise<ConversationView> {
    const view = await this.#states.currentConversation(c)
    if (view === undefined) throw notFound()
    if (await isInNow(this.#states, view, user)) return view
    throw view.kind === 'channel' ? new ConfabError('NOT_MEMBER') : notFound()
  }
}
