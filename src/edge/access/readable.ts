import type { ConversationView, StateReader, UserView } from '../../commands/index.ts'

/**
 * The part of a conversation that a user may read: all of it, or the events from the user's own joining on
 * (`historyFrom` `join`). Every reader of content takes one, and only a check of the membership makes one, so no read
 * can forget where the user's part begins.
 */
export class Readable {
  readonly view: ConversationView
  /** Undefined: the whole conversation. */
  readonly #user: string | undefined
  /** The state of a user who may follow the channel. */
  readonly #follower: UserView | undefined

  private constructor(view: ConversationView, user: string | undefined, follower: UserView | undefined) {
    this.view = view
    this.#user = user
    this.#follower = follower
  }

  /**
   * Returns the part of a conversation that a user may read, by the states of this node. Undefined: the user is neither
   * a member nor a follower. Answers without a promise when the states are cached. Rejects with ConfabError.
   */
  static by(
    states: StateReader,
    view: ConversationView | undefined,
    user: string,
  ): Readable | undefined | Promise<Readable | undefined> {
    if (view === undefined) return undefined
    if (!needsFollower(view, user)) return Readable.#of(view, user, undefined)
    const follower = states.user(user)
    return follower instanceof Promise
      ? follower.then(found => Readable.#of(view, user, found))
      : Readable.#of(view, user, follower)
  }

  /** As `by`, by the logs as they are now. */
  static async byNow(
    states: StateReader,
    view: ConversationView | undefined,
    user: string,
  ): Promise<Readable | undefined> {
    if (view === undefined) return undefined
    return Readable.#of(view, user, needsFollower(view, user) ? await states.currentUser(user) : undefined)
  }

  /** Returns the whole conversation, for a component that shows no user what it reads. */
  static whole(view: ConversationView): Readable {
    return new Readable(view, undefined, undefined)
  }

  static #of(view: ConversationView, user: string, follower: UserView | undefined): Readable | undefined {
    const isIn = view.roleOf(user) !== undefined || follower?.follows(view.c) === true
    return isIn ? new Readable(view, user, follower) : undefined
  }

  /**
   * seq of the first event that the user may read, by the states as they are at this moment: Infinity for a user who is
   * no longer in the conversation.
   */
  get first(): number {
    if (this.#user === undefined || this.view.historyFrom !== 'join') return 1
    const joined = this.view.joinedAt(this.#user) ?? Number.POSITIVE_INFINITY
    const followed = this.#follower?.followsAfter(this.view.c)
    // A follower whose role is set becomes a member as well, with an event of its own.
    return followed === undefined ? joined : Math.min(joined, followed + 1)
  }
}

/** Only a channel has followers. Of a member, it matters only where the user's part begins. */
const needsFollower = (view: ConversationView, user: string): boolean => {
  if (view.kind !== 'channel') return false
  if (view.roleOf(user) === undefined) return !view.isBanned(user)
  return view.historyFrom === 'join' && (view.joinedAt(user) ?? 1) > 1
}
