import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { ConfabError, LogDamagedError } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'

/** The error while the live feed may lack events: memberships are not known well enough to answer. */
const stale = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The log cannot be followed at the moment; try again.')

/** The same error whether the conversation does not exist or the user may not know of it. */
export const notFound = (): ConfabError =>
  new ConfabError('NOT_FOUND', 'This conversation does not exist, or you are not a member of it.')

/** Resolves with whether the roster view has a user as a member of a conversation. Never rejects. */
export type RosterCheck = (c: string, user: string) => Promise<boolean>

/** Returns a check of the roster. A roster that cannot be read counts as one without the user. */
export const rosterCheck =
  ({ roster }: Pick<Views, 'roster'>): RosterCheck =>
  (c, user) =>
    roster.conversationsOf(user).then(
      ({ conversations }) => conversations.includes(c),
      () => false,
    )

/** Whether an error says that the log has lost events of the conversation in the request. */
export const isDamage = (error: unknown): boolean =>
  ConfabError.is(error) && error.code === 'LOG_DAMAGED' && error.field === '/c'

/** Throws ConfabError ARCHIVED for a signal of a conversation in which nothing is posted. */
export const requireOpen = ({ archived }: ConversationView): void => {
  if (archived) throw new ConfabError('ARCHIVED')
}

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
  if (view.kind !== 'channel' || view.isBanned(user)) return false
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
  if (view.kind !== 'channel' || view.isBanned(user)) return false
  return (await states.currentUser(user)).follows(view.c)
}

/** Authorises reads by the state of the conversation, which the live feed keeps up to date. */
export class Access {
  readonly #states: StateReader
  readonly #feed: LiveFeed
  readonly #stalenessMs: number
  readonly #isOnRoster: RosterCheck

  constructor(states: StateReader, feed: LiveFeed, isOnRoster: RosterCheck, stalenessMs: number) {
    this.#states = states
    this.#feed = feed
    this.#isOnRoster = isOnRoster
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
   * (of a channel), LOG_DAMAGED (members only) or UNAVAILABLE. Requests read nothing else before this check.
   */
  member(c: string, user: string, seen = 0): ConversationView | Promise<ConversationView> {
    this.requireFresh()
    const found = this.#states.conversation(c)
    if (found instanceof Promise)
      return found.then(
        view => this.#memberOf(view, c, user, seen),
        error => this.#fail(c, user, error),
      )
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

  /**
   * Refuses after the same reads whether the conversation exists or not, so that the time of the answer does not tell a
   * stranger which of both it is: the log, then the roster.
   */
  async #currentOf(c: string, user: string): Promise<ConversationView> {
    const view = await this.#states.currentConversation(c).catch(error => this.#fail(c, user, error))
    if (view !== undefined && (await isInNow(this.#states, view, user))) return view
    if (view?.kind === 'channel') throw new ConfabError('NOT_MEMBER')
    const isOnRoster = await this.#isOnRoster(c, user)
    // The roster is built from the log, so it knows no conversation that the log has never had.
    if (view === undefined && isOnRoster) throw new LogDamagedError({ family: 'conv', id: c }, 1, 1)
    throw notFound()
  }

  /** Without the log, the roster says whether a user is a member. For others the conversation does not exist. */
  async #fail(c: string, user: string, error: unknown): Promise<never> {
    throw isDamage(error) && !(await this.#isOnRoster(c, user)) ? notFound() : error
  }
}
