import type { ConversationRequest, Role } from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'
import { type AggregateState, type Refusal, refuse } from './aggregate.ts'
import { banOf } from './bans.ts'
import type { ConsentOf } from './consent.ts'
import type { ConversationState } from './conversation-state.ts'
import type { InvitationLimits } from './invitations.ts'
import { mayHaveSeen } from './message-id-filter.ts'

/**
 * A request with everything that a decider needs besides the state. Deciders take no time, id or fact from elsewhere.
 */
export interface ConversationCommand<R extends ConversationRequest = ConversationRequest> {
  readonly request: R
  /** User id of the sender. */
  readonly from: string
  /** ISO time of the event. */
  readonly at: string
  /** Whether the time is of an imported event. Slow mode does not delay such an event, and its time is kept. */
  readonly isImported?: boolean | undefined
  /** Command id, unique in the log. */
  readonly id: string
  /** The monotonic clock of this process, ms. Set only when the decision depends on it. */
  readonly now?: number | undefined
  /** Whether the sender or `peer` has blocked the other one. Set only when the decision depends on it. */
  readonly blocked?: boolean | undefined
  /** The other one of two users who are alone in the conversation. */
  readonly peer?: string | undefined
  /** Channel: whether `follower` follows it. Set only when the decision depends on it. */
  readonly follows?: boolean | undefined
  /**
   * The sender, when the channel's log does not name the sender as a member; otherwise the user that the request
   * names.
   */
  readonly follower?: string | undefined
  /** Bounds of a conversation. Undefined, as a whole or one of them: no limit. */
  readonly limits?: ConversationLimits | undefined
  /** `create` of a direct conversation: the conversation that the two users have, by the log of one of them. */
  readonly pair?: string | undefined
  /** The result for each user that the command adds. Set only when the decision depends on it. */
  readonly consent?: ConsentOf | undefined
  /** Result of the look-up that an earlier decision asked for. */
  readonly found?: FoundMessage | undefined
}

export interface ConversationLimits extends InvitationLimits {
  /** Members that the log of a channel holds. */
  readonly channelMembers?: number
  readonly bans?: number
  /** Different reactions to a message. */
  readonly messageReactions?: number
  /** Different reactions of one user to a message. */
  readonly userReactions?: number
}

export interface FoundMessage {
  readonly m: string
  /** The look-up covers all events up to this seq. */
  readonly upTo: number
  readonly message: MessageRef | undefined
}

export type CommandOf<T extends ConversationRequest['t']> = ConversationCommand<
  Extract<ConversationRequest, { t: T }>
>

/** Returns the refusal for a sender who is not a member. Only a channel reveals that it exists. */
export const refuseStranger = (state: ConversationState): Refusal =>
  state.seq > 0 && state.kind === 'channel'
    ? refuse('NOT_MEMBER')
    : refuse('NOT_FOUND', 'This conversation does not exist, or you are not a member of it.')

/** Refuses what would reach the other one of two users who are alone in a conversation. */
export const refuseBlocked = (): Refusal => refuse('FORBIDDEN', 'One of you has blocked the other.')

/** Returns the refusal for a command whose message id (`send`) or key the same user has used for another command. */
export const refuseReuse = (t?: ConversationRequest['t']): Refusal =>
  t === 'send'
    ? refuse('CONFLICT', 'm: you have posted another message with this id. Choose a new id.', '/m')
    : refuse('CONFLICT', 'key: you have used this key for another command. Choose a new key.', '/key')

/**
 * Returns the role of the sender. A follower of a channel has the role `member`. Undefined: not in the conversation. A
 * banned user is not in it, whatever the user's own log says.
 */
export const roleIn = (
  state: ConversationState,
  { from, follows, at }: Pick<ConversationCommand, 'from' | 'follows' | 'at'>,
): Role | undefined =>
  state.members.get(from) ??
  (follows === true && banOf(state.bans, from, at) === undefined ? 'member' : undefined)

/**
 * Returns the time of the next event: never earlier than the event before it, also when a clock was set back or the
 * clocks of two nodes differ. Imported events keep the time of their source. ISO times of this form sort as strings.
 */
export const timeOfNext = (
  { at: last }: Pick<AggregateState, 'at'>,
  { at, isImported }: { readonly at: string; readonly isImported?: boolean | undefined },
): string => (at < last && isImported !== true ? last : at)

/** Refuses a posting, or a change of one, in an archived conversation. Deleting stays possible. */
export const refuseArchived = ({ archived }: ConversationState): Refusal | undefined =>
  archived ? refuse('ARCHIVED') : undefined

const rank: Record<Role, number> = { owner: 2, admin: 1, member: 0 }

export const isLower = (role: Role, than: Role): boolean => rank[role] < rank[than]

/**
 * Returns a message of the conversation; undefined when it never existed; or the look-up that is needed to decide
 * that.
 */
export const messageOf = (
  state: ConversationState,
  m: string,
  found: FoundMessage | undefined,
): MessageRef | undefined | { readonly lacks: string; readonly upTo: number } => {
  const { recent } = state
  const message = recent.messages.get(m)
  if (message !== undefined) return message
  if (recent.oldest === 1 || !mayHaveSeen(state.seen, m)) return undefined
  const upTo = recent.oldest - 1
  if (found === undefined || found.m !== m || found.upTo < upTo) return { lacks: m, upTo }
  return found.message !== undefined && recent.deletions.has(m)
    ? { ...found.message, deleted: true }
    : found.message
}
