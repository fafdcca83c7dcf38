import { type Static, Type } from '@sinclair/typebox'
import { Id, Mark, Seq, Time } from './ids.ts'

/** Every event of a user: what one user did for itself. `seq` is gapless per user; none of these goes to other users as it is. */
const event = <const T extends string, P extends Record<string, import('@sinclair/typebox').TSchema>>(
  type: T,
  fields: P,
) => Type.Object({ u: Id, seq: Seq, type: Type.Literal(type), at: Time, ...fields })

/** The user has read conversation `c` up to `mark`; marks only grow. */
export const ReadMarked = event('read.marked', { c: Id, mark: Mark })
/** A device of the user holds conversation `c` up to `mark`; marks only grow. */
export const DeliveredMarked = event('delivered.marked', { c: Id, mark: Mark })
export const ConversationMuted = event('conversation.muted', { c: Id })
export const ConversationUnmuted = event('conversation.unmuted', { c: Id })
export const UserBlocked = event('user.blocked', { user: Id })
export const UserUnblocked = event('user.unblocked', { user: Id })

/** Who is told when the user was last here. */
export const LastSeenFor = Type.Union([
  Type.Literal('everybody'),
  Type.Literal('contacts'),
  Type.Literal('nobody'),
])
export type LastSeenFor = Static<typeof LastSeenFor>
export const PrivacyChanged = event('privacy.changed', { lastSeen: LastSeenFor })
/** The user follows a channel: is in it, without its log saying so. `head` and `n`: the channel's last event and the ordinal of its last message, then. */
export const ChannelFollowed = event('channel.followed', { c: Id, head: Seq, n: Mark })
/** The user follows it no longer; `by`: who took them out, themselves or the channel's staff. */
export const ChannelUnfollowed = event('channel.unfollowed', { c: Id, head: Seq, by: Id })

/** The schemas of user events, by type. */
export const UserEvents = {
  'read.marked': ReadMarked,
  'delivered.marked': DeliveredMarked,
  'conversation.muted': ConversationMuted,
  'conversation.unmuted': ConversationUnmuted,
  'user.blocked': UserBlocked,
  'user.unblocked': UserUnblocked,
  'privacy.changed': PrivacyChanged,
  'channel.followed': ChannelFollowed,
  'channel.unfollowed': ChannelUnfollowed,
} as const

export type ReadMarked = Static<typeof ReadMarked>
export type DeliveredMarked = Static<typeof DeliveredMarked>
export type ConversationMuted = Static<typeof ConversationMuted>
export type ConversationUnmuted = Static<typeof ConversationUnmuted>
export type UserBlocked = Static<typeof UserBlocked>
export type UserUnblocked = Static<typeof UserUnblocked>
export type PrivacyChanged = Static<typeof PrivacyChanged>
export type ChannelFollowed = Static<typeof ChannelFollowed>
export type ChannelUnfollowed = Static<typeof ChannelUnfollowed>

export type UserEvent =
  | ReadMarked
  | DeliveredMarked
  | ConversationMuted
  | ConversationUnmuted
  | UserBlocked
  | UserUnblocked
  | PrivacyChanged
  | ChannelFollowed
  | ChannelUnfollowed

export type UserEventType = UserEvent['type']

/** Whether an event changes which channels a user follows. */
export const isFollowType = (type: string): boolean =>
  type === 'channel.followed' || type === 'channel.unfollowed'
