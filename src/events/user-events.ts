import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { AppDataChange } from './app-data.ts'
import { Id, Mark, OneOf, Seq, Time } from './ids.ts'
import { described, optional } from './schema.ts'

/** An event of a user's own log. `seq` has no gaps per user. Clients never receive these events as they are. */
const event = <const T extends string, P extends Record<string, TSchema>>(
  type: T,
  description: string,
  fields: P,
) =>
  Type.Object(
    {
      u: described(Id, 'User id.'),
      seq: described(Seq, 'Sequence number in the log of the user: 1, 2, 3 … without gaps.'),
      type: described(Type.Literal(type), 'Type of the event.'),
      at: described(Time, 'Time of the event.'),
      ...fields,
    },
    { description },
  )

const c = described(Id, 'Conversation id.')

export const ReadMarked = event('read.marked', 'The user’s read marker moved forward.', {
  c,
  mark: described(Mark, 'Sequence number of the last event that the user has read.'),
})
export const DeliveredMarked = event('delivered.marked', 'The user’s delivered marker moved forward.', {
  c,
  mark: described(Mark, 'Sequence number of the last event that a device of the user has received.'),
})
export const ConversationMuted = event('conversation.muted', 'The user muted a conversation.', { c })
export const ConversationUnmuted = event('conversation.unmuted', 'The user unmuted a conversation.', { c })
export const ConversationHidden = event(
  'conversation.hidden',
  'The user hid a conversation. The inbox omits it until an event after `head` posts a message or adds the user.',
  {
    c,
    head: described(Seq, 'Sequence number of the last event of the conversation at that time.'),
  },
)
export const ConversationUnhidden = event(
  'conversation.unhidden',
  'The user put a hidden conversation back into the inbox.',
  { c },
)
export const UserBlocked = event('user.blocked', 'The user blocked another user.', {
  user: described(Id, 'The blocked user.'),
})
export const UserUnblocked = event('user.unblocked', 'The user unblocked another user.', {
  user: described(Id, 'The unblocked user.'),
})

/** Users that may see when a user was last online. `contacts`: see docs/concepts/presence.md. */
export const LastSeenFor = OneOf('everybody', 'contacts', 'nobody')
export type LastSeenFor = Static<typeof LastSeenFor>
/** Users that may see the markers of a user. */
export const ReceiptsFor = OneOf('everybody', 'nobody')
export type ReceiptsFor = Static<typeof ReceiptsFor>
/**
 * Users that may add a user to groups and channels without an invitation. `contacts`: see
 * docs/concepts/invitations.md.
 */
export const InvitationsFor = OneOf('everybody', 'contacts', 'nobody')
export type InvitationsFor = Static<typeof InvitationsFor>
/** Version 1 had no `receipts`, version 2 no `invitations`. */
export const PrivacyChanged = event('privacy.changed', 'The user changed the privacy settings.', {
  lastSeen: described(LastSeenFor, 'Users that may see when the user was last online.'),
  receipts: optional(ReceiptsFor, 'Users that may see the markers of the user. Absent: unchanged.'),
  invitations: optional(
    InvitationsFor,
    'Users that may add the user to groups and channels. Absent: unchanged.',
  ),
})

export const ProfileChanged = event('profile.changed', 'The user changed the data of the profile.', {
  data: described(AppDataChange, 'The new data of the application; `null`: it was removed.'),
})

/** A follower of a large channel is a member whose membership only the user's own log holds. */
export const ChannelFollowed = event('channel.followed', 'The user joined a large channel as a follower.', {
  c,
  head: described(Seq, 'Sequence number of the last event of the channel at that time.'),
  n: described(Mark, 'Ordinal of the last message of the channel at that time.'),
})
export const ChannelUnfollowed = event(
  'channel.unfollowed',
  'The user is no longer a follower of the channel.',
  {
    c,
    head: described(Seq, 'Sequence number of the last event of the channel at that time.'),
    by: described(Id, 'User that ended it: the follower, or an owner or admin of the channel.'),
  },
)

/**
 * Of the two users of a direct conversation, the log of the one with the smaller id has this event. A later one
 * replaces it, when another conversation took the id `c` first.
 */
export const DirectOpened = event(
  'direct.opened',
  'The user and another user got the id of their direct conversation. One of the two logs has the event.',
  {
    peer: described(Id, 'The other user.'),
    c: described(Id, 'Id of the direct conversation. The conversation is created after this event.'),
    by: described(Id, 'User that opened it: one of the two.'),
  },
)

/** The schemas of user events, by type. */
export const UserEvents = {
  'read.marked': ReadMarked,
  'delivered.marked': DeliveredMarked,
  'conversation.muted': ConversationMuted,
  'conversation.unmuted': ConversationUnmuted,
  'conversation.hidden': ConversationHidden,
  'conversation.unhidden': ConversationUnhidden,
  'user.blocked': UserBlocked,
  'user.unblocked': UserUnblocked,
  'privacy.changed': PrivacyChanged,
  'profile.changed': ProfileChanged,
  'channel.followed': ChannelFollowed,
  'channel.unfollowed': ChannelUnfollowed,
  'direct.opened': DirectOpened,
} as const

/** Whether events of this type change which users see whether the user is online. */
export const isAudienceType = (type: string): boolean =>
  type === 'user.blocked' || type === 'user.unblocked' || type === 'privacy.changed'

export type ReadMarked = Static<typeof ReadMarked>
export type DeliveredMarked = Static<typeof DeliveredMarked>
export type ConversationMuted = Static<typeof ConversationMuted>
export type ConversationUnmuted = Static<typeof ConversationUnmuted>
export type ConversationHidden = Static<typeof ConversationHidden>
export type ConversationUnhidden = Static<typeof ConversationUnhidden>
export type UserBlocked = Static<typeof UserBlocked>
export type UserUnblocked = Static<typeof UserUnblocked>
export type PrivacyChanged = Static<typeof PrivacyChanged>
export type ProfileChanged = Static<typeof ProfileChanged>
export type ChannelFollowed = Static<typeof ChannelFollowed>
export type ChannelUnfollowed = Static<typeof ChannelUnfollowed>
export type DirectOpened = Static<typeof DirectOpened>

export type UserEvent =
  | ReadMarked
  | DeliveredMarked
  | ConversationMuted
  | ConversationUnmuted
  | ConversationHidden
  | ConversationUnhidden
  | UserBlocked
  | UserUnblocked
  | PrivacyChanged
  | ProfileChanged
  | ChannelFollowed
  | ChannelUnfollowed
  | DirectOpened

export type UserEventType = UserEvent['type']

/** Whether events of this type change which channels a user follows. */
export const isFollowType = (type: string): boolean =>
  type === 'channel.followed' || type === 'channel.unfollowed'
