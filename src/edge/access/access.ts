import type { ConversationView, LiveFeed, StateReader } from '../../commands/index.ts'
import { ConfabError, type ErrorCode, LogDamagedError } from '../../events/index.ts'
import type { Views } from '../../projections/index.ts'
import { Readable } from './readable.ts'

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

/** Codes of the errors for which a read of many conversations leaves one out. */
export const hiding: ReadonlySet<ErrorCode> = new Set([
  'NOT_FOUND',
  'NOT_MEMBER',
  'LOG_DAMAGED',
  'UNREADABLE_EVENT',
])

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
    const found = this.readable(c, user, seen)
    return found instanceof Promise ? found.then(({ view }) => view) : found.view
  }

  /** As `member`, with the part of the conversation that the user may read. */
  readable(c: string, user: string, seen = 0): Readable | Promise<Readable> {
    this.requireFresh()
    const found = this.#states.conversation(c)
    if (found instanceof Promise)
      return found.then(
        view => this.#memberOf(view, c, user, seen),
        error => this.#fail(c, user, error),
      )
    return this.#memberOf(found, c, user, seen)
  }

  /**
   * Returns, of some conversations, the seq of the first event that a user may read where that is not 1. Infinity:
   * nothing, because the user is not a member or the state cannot be read. Rejects with ConfabError UNAVAILABLE.
   */
  async firstReadable(conversations: Iterable<string>, user: string): Promise<Map<string, number>> {
    const firsts = new Map<string, number>()
    await Promise.all(
      Array.from(new Set(conversations), async c => {
        const first = await this.#firstOf(c, user)
        if (first > 1) firsts.set(c, first)
      }),
    )
    return firsts
  }

  async #firstOf(c: string, user: string): Promise<number> {
    try {
      return (await this.readable(c, user)).first
    } catch (error) {
      if (ConfabError.is(error) && hiding.has(error.code)) return Number.POSITIVE_INFINITY
      throw error
    }
  }

  /** Refuses a user only by the current log: another node may just have added the user. */
  #memberOf(
    view: ConversationView | undefined,
    c: string,
    user: string,
    seen: number,
  ): Readable | Promise<Readable> {
    if (view !== undefined && view.head >= seen) {
      const known = Readable.by(this.#states, view, user)
      if (known instanceof Promise) return known.then(found => found ?? this.#currentOf(c, user))
      if (known !== undefined) return known
    }
    return this.#currentOf(c, user)
  }

  /**
   * Refuses after the same reads whether the conversation exists or not, so that the time of the answer does not tell a
   * stranger which of both it is: the log, then the roster.
   */
  async #currentOf(c: string, user: string): Promise<Readable> {
    const view = await this.#states.currentConversation(c).catch(error => this.#fail(c, user, error))
    const found = await Readable.byNow(this.#states, view, user)
    if (found !== undefined) return found
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
