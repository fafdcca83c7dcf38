import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { ConfabError } from '../../events/index.ts'

/** The live feed has not been sure of having everything for too long: who is a member of what is not known well enough to answer. */
const stale = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The log cannot be followed at the moment; try again.')

/** Same words whether the conversation is not there or not to be known of. */
const notFound = (): ConfabError =>
  new ConfabError('NOT_FOUND', 'This conversation does not exist, or you are not a member of it.')

/**
 * Whether a user is in a conversation as far as this node knows: one of its members, or who follows a channel. At once when the states are cached. Rejects with
 * ConfabError.
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

/** As `isIn`, as the logs have it now. */
export const isInNow = async (
  states: StateReader,
  view: ConversationView | undefined,
  user: string,
): Promise<boolean> => {
  if (view === undefined) return false
  if (view.roleOf(user) !== undefined) return true
  return view.kind === 'channel' && (await states.currentUser(user)).follows(view.c)
}

/** Who may see what, asked of the conversation's own state, which the live feed keeps fresh. */
export class Access {
  readonly #states: StateReader
  readonly #feed: LiveFeed
  readonly #stalenessMs: number

  constructor(states: StateReader, feed: LiveFeed, stalenessMs: number) {
    this.#states = states
    this.#feed = feed
    this.#stalenessMs = stalenessMs
  }

  /** Throws ConfabError UNAVAILABLE when this node may have missed something, a removal above all. */
  requireFresh(): void {
    if (this.#feed.staleness() > this.#stalenessMs) throw stale()
  }

  get isFresh(): boolean {
    return this.#feed.staleness() <= this.#stalenessMs
  }

  /**
   * A conversation that a user is a member of. At once when its state is cached and has come as far as `seen`, which another node may have answered with. Throws
   * or rejects with ConfabError: NOT_FOUND, NOT_MEMBER (a channel), UNAVAILABLE. Nothing else is read before it has answered.
   */
  member(c: string, user: string, seen = 0): ConversationView | Promise<ConversationView> {
    this.requireFresh()
    const found = this.#states.conversation(c)
    if (found instanceof Promise) return found.then(view => this.#memberOf(view, c, user, seen))
    return this.#memberOf(found, c, user, seen)
  }

  /** Nobody is turned away on what this node knows alone: another may just have let the user in. */
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
