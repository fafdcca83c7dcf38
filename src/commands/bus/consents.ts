import { FairSemaphore } from '../../base/fair-semaphore.ts'
import {
  type ConversationEvent,
  LogDamagedError,
  UnreadableEventError,
  type UserEvent,
} from '../../events/index.ts'
import { type Consent, type ConsentOf, consentOf, directOf } from '../domain/consent.ts'
import type { ConversationCommand } from '../domain/conversation-command.ts'
import { type ConversationState, isDirectOf } from '../domain/conversation-state.ts'
import type { UserState } from '../domain/user-state.ts'
import type { AggregateCache } from '../states/aggregate-cache.ts'
import type { FailureLog } from '../states/state-reader.ts'

/** Reads of users' logs that run at once: for all senders, and for one of them. A `create` names up to 1,000 users. */
const readsAtOnce = { total: 200, share: 50 }

/** Whether the decision depends on the consent of users: the sender may add them, and they are not members. */
export const needsConsent = (
  state: ConversationState,
  { request, from, follows }: ConversationCommand,
): boolean => {
  if (request.t === 'create')
    return state.seq === 0 && request.kind !== 'direct' && request.members.length > 0
  if (request.t !== 'invite' || follows === true || state.members.has(request.user)) return false
  const role = state.members.get(from)
  return role === 'owner' || role === 'admin'
}

const usersAddedBy = ({ request, from }: ConversationCommand): ReadonlySet<string> => {
  if (request.t === 'invite') return new Set([request.user])
  return new Set(request.t === 'create' ? request.members.filter(user => user !== from) : [])
}

/** Reads whether users consent to be added. */
export class Consents {
  readonly #users: Pick<AggregateCache<UserState, UserEvent>, 'current'>
  readonly #conversations: Pick<AggregateCache<ConversationState, ConversationEvent>, 'load'>
  readonly #failures: Pick<FailureLog, 'report'>
  readonly #reads = new FairSemaphore(readsAtOnce)

  constructor(
    users: Pick<AggregateCache<UserState, UserEvent>, 'current'>,
    conversations: Pick<AggregateCache<ConversationState, ConversationEvent>, 'load'>,
    failures: Pick<FailureLog, 'report'>,
  ) {
    this.#users = users
    this.#conversations = conversations
    this.#failures = failures
  }

  /**
   * Returns the result for each user that a command adds, by the logs of the users and of the sender as they are now. A
   * setting or block that was acknowledged before the command arrived is never missed. Rejects with ConfabError
   * UNAVAILABLE, or when the log of the sender cannot be read.
   */
  async of(command: ConversationCommand): Promise<ConsentOf> {
    const { request, from, id } = command
    const { state: by } = await this.#reads.run(from, () => this.#users.current(from))
    const consents = new Map<string, Consent>()
    await Promise.all(
      Array.from(usersAddedBy(command), async user => {
        consents.set(user, await this.#reads.run(from, () => this.#consentOf(user, by, request.c, id)))
      }),
    )
    return user => {
      const consent = consents.get(user)
      if (consent === undefined) throw new TypeError(`the consent of ${user} was not looked up`)
      return consent
    }
  }

  /**
   * Returns the consent of a user. A log that cannot be read refuses: the sender must not learn more about the user
   * than by another refusal. The conversation of the two is read after all reasons for a refusal. So all refusals take
   * the same reads, and their time does not reveal whether it is a block or the setting `nobody`.
   */
  async #consentOf(name: string, by: UserState, c: string, command: string): Promise<Consent> {
    try {
      const { state: user } = await this.#users.current(name)
      return consentOf(user, by, c) ?? ((await this.#hasWrittenTo(user, by)) ? 'add' : 'invite')
    } catch (error) {
      if (!LogDamagedError.is(error) && !UnreadableEventError.is(error)) throw error
      this.#failures.report(error, { command })
      return 'refuse'
    }
  }

  /** Whether a user has posted a message in the direct conversation with another one. */
  async #hasWrittenTo(user: UserState, other: UserState): Promise<boolean> {
    const c = directOf(user, other)
    if (c === undefined) return false
    const { state } = await this.#conversations.load(c)
    return isDirectOf(state, user.user, other.user) && state.writers.has(user.user)
  }
}
