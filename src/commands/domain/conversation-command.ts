import type { ConversationRequest, Role } from '../../events/index.ts'
import type { MessageRef } from '../ports/message-lookup.ts'
import { type Refusal, refuse } from './aggregate.ts'
import type { ConversationState } from './conversation-state.ts'
import { mayHaveSeen } from './message-id-filter.ts'
import { isWhole, oldestOf } from './recent-events.ts'

/** A request with all that a decision needs beside the state: deciders take no time, no id and no fact from anywhere else. */
export interface ConversationCommand<R extends ConversationRequest = ConversationRequest> {
  readonly request: R
  /** User id of who asks. */
  readonly from: string
  /** ISO time of the event. */
  readonly at: string
  /** Command id, unique in the log. */
  readonly id: string
  /** In a direct conversation: whether either of the two has blocked the other. */
  readonly blocked?: boolean | undefined
  /** In a channel, where the decision depends on it: whether `follower` follows it. */
  readonly follows?: boolean | undefined
  /** Who asks, when not in the channel's own log; else whom it is about. */
  readonly follower?: string | undefined
  /** Members that a channel's log holds at most; any number, when not given. */
  readonly channelMembers?: number | undefined
  /** What a lookup said of the message that a decision lacked. */
  readonly found?: FoundMessage | undefined
}

export interface FoundMessage {
  readonly m: string
  /** The lookup knew of every event up to this seq. */
  readonly upTo: number
  readonly message: MessageRef | undefined
}

export type CommandOf<T extends ConversationRequest['t']> = ConversationCommand<
  Extract<ConversationRequest, { t: T }>
>

/** Why someone who is no member gets nothing: who may not know of a conversation is told that there is none. */
export const refuseStranger = (state: ConversationState): Refusal =>
  state.seq > 0 && state.kind === 'channel'
    ? refuse('NOT_MEMBER')
    : refuse('NOT_FOUND', 'There is no such conversation, or none that you may know of.')

/** What somebody is in a conversation: a member with a role, or who follows a channel, as a plain member. */
export const roleIn = (
  state: ConversationState,
  { from, follows }: Pick<ConversationCommand, 'from' | 'follows'>,
): Role | undefined => state.members.get(from) ?? (follows === true ? 'member' : undefined)

const rank: Record<Role, number> = { owner: 2, admin: 1, member: 0 }

export const isLower = (role: Role, than: Role): boolean => rank[role] < rank[than]

/** A message of a conversation: its reference, undefined when there never was one, or what it takes to tell. */
export const messageOf = (
  state: ConversationState,
  m: string,
  found: FoundMessage | undefined,
): MessageRef | undefined | { readonly lacks: string; readonly upTo: number } => {
  const { recent } = state
  const message = recent.messages.get(m)
  if (message !== undefined) return message
  if (isWhole(recent) || !mayHaveSeen(state.seen, m)) return undefined
  const upTo = oldestOf(recent) - 1
  if (found === undefined || found.m !== m || found.upTo < upTo) return { lacks: m, upTo }
  return found.message !== undefined && recent.deletions.has(m)
    ? { ...found.message, deleted: true }
    : found.message
}
