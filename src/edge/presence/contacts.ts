import { FairSemaphore } from '../../base/fair-semaphore.ts'
import type { ConversationView, StateReader, UserView } from '../../commands/index.ts'
import type { Views } from '../../projections/index.ts'

/** Shared conversations that are checked before two users count as strangers. */
const maxShared = 20
/** Searches for a shared conversation that run at once: of all askers, and of one of them. */
const searches = { total: 64, share: 8 }
/** States of users that are read at once: for all askers, and for one of them. */
const userReads = { total: 200, share: 20 }

/**
 * Decides which users may see whether a user is online, and when the user last was: by that user's setting `lastSeen`
 * and blocks.
 */
export class Contacts {
  readonly #states: StateReader
  readonly #views: Views
  readonly #searches = new FairSemaphore(searches)
  readonly #userReads = new FairSemaphore(userReads)

  constructor(states: StateReader, views: Views) {
    this.#states = states
    this.#views = views
  }

  /**
   * Resolves with those of the users that the asker may see. `c`: a conversation that all are in. Rejects with
   * ConfabError.
   */
  async shownTo(asker: string, users: readonly string[], c?: string): Promise<Set<string>> {
    const isShown = this.#check(asker, c)
    const answers = await Promise.all(users.map(isShown))
    return new Set(users.filter((_, index) => answers[index]))
  }

  /** As `shownTo`, without the users whose state cannot be read. Never rejects. */
  async readableTo(asker: string, users: readonly string[]): Promise<Set<string>> {
    const isShown = this.#check(asker)
    const answers = await Promise.all(users.map(user => isShown(user).catch(() => false)))
    return new Set(users.filter((_, index) => answers[index]))
  }

  /** Returns the check of one asker, which reads the asker's conversations at most once. */
  #check(asker: string, c?: string): (user: string) => Promise<boolean> {
    let own: Promise<ReadonlySet<string>> | undefined
    const ownConversations = (): Promise<ReadonlySet<string>> => {
      own ??= this.#conversationsOf(asker)
      return own
    }
    return async user => {
      if (user === asker) return true
      const view = await this.#user(asker, user)
      if (view.lastSeen === 'nobody' || view.hasBlocked(asker)) return false
      if (view.lastSeen === 'everybody') return true
      if (c !== undefined && (await this.#isContactIn(c, view, asker))) return true
      return await this.#isContact(view, asker, ownConversations)
    }
  }

  /** Resolves with the members of a group or direct conversation. Others make no contacts. */
  async membersOf(c: string): Promise<ConversationView | undefined> {
    const view = await this.#states.conversation(c)
    return view?.kind === 'channel' ? undefined : view
  }

  /**
   * Whether both are members of a group or direct conversation that the user has created or read. Other conversations
   * do not count: any user can join a channel, add others to a group, or make them its owners. Logs and views only
   * suggest conversations; the state of each conversation decides about its members.
   */
  async #isContact(view: UserView, asker: string, own: () => Promise<ReadonlySet<string>>): Promise<boolean> {
    const { user } = view
    const direct = view.directWith(asker) ?? (await this.#user(asker, asker)).directWith(user)
    if (direct !== undefined && (await this.#isContactIn(direct, view, asker))) return true
    return await this.#searches.run(asker, async () => {
      const mine = await own()
      const shared = [...(await this.#conversationsOf(user))].filter(c => mine.has(c)).slice(0, maxShared)
      for (const c of shared) if (await this.#isContactIn(c, view, asker)) return true
      return false
    })
  }

  async #isContactIn(c: string, { user, readMark }: UserView, asker: string): Promise<boolean> {
    const members = await this.membersOf(c)
    if (members?.roleOf(asker) === undefined) return false
    return members.roleOf(user) !== undefined && (members.creator === user || readMark(c) > 0)
  }

  /** Resolves with the state of a user, for a decision about an asker. */
  #user(asker: string, user: string): Promise<UserView> {
    return this.#userReads.run(asker, async () => await this.#states.user(user))
  }

  async #conversationsOf(user: string): Promise<ReadonlySet<string>> {
    return new Set((await this.#views.roster.conversationsOf(user)).conversations)
  }
}
