import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { AppData, AppDataChange } from './app-data.ts'
import { Id, OneOf, Seq, Time } from './ids.ts'
import { Limits } from './limits.ts'
import { described, optional } from './schema.ts'

/** `direct`: two users, never more or fewer. `group`: by invitation. `channel`: any user that knows its id may join. */
export const Kind = OneOf('direct', 'group', 'channel')
export type Kind = Static<typeof Kind>

export const Role = OneOf('owner', 'admin', 'member')
export type Role = Static<typeof Role>

/** `everybody`: all members may post. `staff`: owners and admins only. */
export const Posting = OneOf('everybody', 'staff')
export type Posting = Static<typeof Posting>

/** The part of a conversation that members read: all of it, or (`join`) the events from their own joining on. */
export const HistoryFrom = OneOf('start', 'join')
export type HistoryFrom = Static<typeof HistoryFrom>

/** Slow mode: minimum time between two messages of a plain member, in seconds. 0 is off. */
export const SlowModeSeconds = Type.Integer({ minimum: 0, maximum: Limits.slowModeSeconds })

export const Title = Type.String({ minLength: 1, maxLength: Limits.titleChars })
export const Emoji = Type.String({ minLength: 1, maxLength: Limits.emojiChars })

/** The fields that describe a file. */
export const AttachmentFields = {
  name: described(Type.String({ minLength: 1, maxLength: 255 }), 'File name, without folders.'),
  type: described(
    Type.String({ minLength: 1, maxLength: 127 }),
    'Media type, in lower case and without parameters.',
  ),
  size: described(
    Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
    'Size in bytes. An upload has at least 1, and at most `media.maxSize` (100 MiB by default).',
  ),
  sha256: described(
    Type.String({ pattern: '^[0-9a-f]{64}$' }),
    'SHA-256 of the content, in lower-case hexadecimal.',
  ),
} as const

export const Attachment = Type.Object({
  mediaId: described(Id, 'Id of the upload.'),
  ...AttachmentFields,
})
export type Attachment = Static<typeof Attachment>

/**
 * An event's schema: the log stores it and clients receive it in the same form. The description says what happened.
 * `data` is the last field of an event: readers of the bytes look for the fields before it.
 */
const event = <const T extends string, P extends Record<string, TSchema>>(
  type: T,
  description: string,
  fields: P,
) =>
  Type.Object(
    {
      t: Type.Literal('event'),
      c: described(Id, 'Conversation id.'),
      seq: described(Seq, 'Sequence number in the conversation: 1, 2, 3 … without gaps.'),
      type: described(Type.Literal(type), 'Type of the event.'),
      from: described(Id, 'User that caused the event.'),
      at: described(Time, 'Time of the event.'),
      ...fields,
    },
    { description },
  )

const m = described(Id, 'Message id.')
const data = optional(AppData, 'Data of the application. Absent: none.')
const changedData = optional(
  AppDataChange,
  'The new data of the application; `null`: it was removed. Absent: unchanged.',
)

export const ConversationCreated = event('conversation.created', 'A user created the conversation.', {
  kind: described(Kind, 'Kind of the conversation.'),
  title: optional(Title, 'Title.'),
  members: described(
    Type.Array(Type.Object({ user: described(Id, 'User id.'), role: described(Role, 'Role of the user.') })),
    'First members, including the creator.',
  ),
  historyFrom: optional(
    HistoryFrom,
    'What members may read, as in `conversation.settings_changed`. Absent: `start`.',
  ),
  invited: optional(
    Type.Array(described(Id, 'User id.')),
    'Users that the creator named, and that become members only if they accept. Absent: none.',
  ),
  data,
})
export const ConversationRenamed = event('conversation.renamed', 'An owner or admin changed the title.', {
  title: described(Title, 'The new title.'),
})
export const ConversationSettingsChanged = event(
  'conversation.settings_changed',
  'An owner or admin changed the settings. The event has all settings but `data`, changed or not.',
  {
    posting: described(
      Posting,
      'Members that may post: `everybody`, or `staff`, which are owners and admins.',
    ),
    slowModeSeconds: described(
      SlowModeSeconds,
      'Minimum time between two messages of a plain member, in seconds; 0: slow mode is off.',
    ),
    historyFrom: optional(
      HistoryFrom,
      'What members may read: everything (`start`), or the events from their own joining on (`join`). Absent, in events of older versions: unchanged.',
    ),
    archived: optional(
      Type.Boolean(),
      'Whether the conversation is archived. Absent in events of older versions: unchanged.',
    ),
    uninvited: optional(
      Type.Array(described(Id, 'User id.')),
      'Users whose open invitations ended, because the conversation was archived. Absent: none.',
    ),
    data: changedData,
  },
)
export const MemberJoined = event('member.joined', 'A user joined, or another member added the user.', {
  user: described(Id, 'The new member. Another user than `from`: `from` added the member.'),
  role: described(Role, 'Role of the new member: `owner` in an empty channel, else `member`.'),
})
export const MemberLeft = event('member.left', 'A member left, or another member removed the user.', {
  user: described(Id, 'The former member. Another user than `from`: `from` removed the member.'),
  successor: optional(Id, 'The new owner, when the last owner left and other members remain.'),
})
export const MemberRoleChanged = event('member.role_changed', 'An owner changed the role of a member.', {
  user: described(Id, 'The member.'),
  role: described(Role, 'The new role.'),
})
export const MemberBanned = event(
  'member.banned',
  'An owner or admin banned a user. It ends the membership of the user, if there is one.',
  {
    user: described(Id, 'The banned user.'),
    until: optional(Time, 'End of the ban. Absent: it has no end.'),
    invited: optional(Type.Literal(true), 'The ban ended an open invitation of the user.'),
  },
)
export const MemberUnbanned = event('member.unbanned', 'An owner or admin lifted the ban of a user.', {
  user: described(Id, 'The user, who may join again and be invited.'),
})
export const MemberInvited = event(
  'member.invited',
  'An owner or admin invited a user, who becomes a member by accepting the invitation.',
  { user: described(Id, 'The invited user.') },
)
export const MemberUninvited = event(
  'member.uninvited',
  'An invitation ended: the user declined it, or an owner or admin withdrew it.',
  {
    user: described(Id, 'The user. The same as `from`: the user declined.'),
    accepted: optional(Type.Literal(true), 'The user accepted, and follows the channel now.'),
  },
)
export const MessagePosted = event('message.posted', 'A member posted a message.', {
  m,
  n: described(Seq, 'Ordinal of the message among the messages of the conversation: 1, 2, 3 …'),
  text: described(
    Type.String(),
    'Text of the message. A read returns the text as last edited, and none for a deleted message.',
  ),
  editedAt: optional(Time, 'Time of the last edit. Only in answers and missed events.'),
  deleted: optional(
    Type.Literal(true),
    'The message is deleted, so the event has no content. Only in answers and missed events.',
  ),
  replyTo: optional(Id, 'Id of the message that this message answers.'),
  attachments: optional(Type.Array(Attachment), 'Attached files.'),
  data,
})
export const MessageEdited = event('message.edited', 'The author replaced the text of a message.', {
  m,
  messageSeq: optional(
    Seq,
    'Sequence number of the `message.posted` that is edited. Absent in events of older versions.',
  ),
  text: described(
    Type.String(),
    'The new text. A read returns the text as last edited, and none for a deleted message.',
  ),
  deleted: optional(
    Type.Literal(true),
    'The message is deleted, so the event has no content. Only in answers and missed events.',
  ),
  data: changedData,
})
export const MessageDeleted = event(
  'message.deleted',
  'The author, an admin or an owner deleted a message.',
  {
    m,
    messageSeq: optional(
      Seq,
      'Sequence number of the `message.posted` that is deleted. Absent in events of older versions.',
    ),
  },
)
export const ReactionAdded = event('reaction.added', 'A member added a reaction to a message.', {
  m,
  emoji: described(Emoji, 'The emoji, in canonical form. An event of an earlier version may have any text.'),
})
export const ReactionRemoved = event('reaction.removed', 'A member removed a reaction from a message.', {
  m,
  emoji: described(Emoji, 'The emoji, as in `reaction.added`.'),
})

/** The schemas of conversation events, by type. */
export const ConversationEvents = {
  'conversation.created': ConversationCreated,
  'conversation.renamed': ConversationRenamed,
  'conversation.settings_changed': ConversationSettingsChanged,
  'member.joined': MemberJoined,
  'member.left': MemberLeft,
  'member.role_changed': MemberRoleChanged,
  'member.banned': MemberBanned,
  'member.unbanned': MemberUnbanned,
  'member.invited': MemberInvited,
  'member.uninvited': MemberUninvited,
  'message.posted': MessagePosted,
  'message.edited': MessageEdited,
  'message.deleted': MessageDeleted,
  'reaction.added': ReactionAdded,
  'reaction.removed': ReactionRemoved,
} as const

export type ConversationCreated = Static<typeof ConversationCreated>
export type ConversationRenamed = Static<typeof ConversationRenamed>
export type ConversationSettingsChanged = Static<typeof ConversationSettingsChanged>
export type MemberJoined = Static<typeof MemberJoined>
export type MemberLeft = Static<typeof MemberLeft>
export type MemberRoleChanged = Static<typeof MemberRoleChanged>
export type MemberBanned = Static<typeof MemberBanned>
export type MemberUnbanned = Static<typeof MemberUnbanned>
export type MemberInvited = Static<typeof MemberInvited>
export type MemberUninvited = Static<typeof MemberUninvited>
export type MessagePosted = Static<typeof MessagePosted>
export type MessageEdited = Static<typeof MessageEdited>
export type MessageDeleted = Static<typeof MessageDeleted>
export type ReactionAdded = Static<typeof ReactionAdded>
export type ReactionRemoved = Static<typeof ReactionRemoved>

export type ConversationEvent =
  | ConversationCreated
  | ConversationRenamed
  | ConversationSettingsChanged
  | MemberJoined
  | MemberLeft
  | MemberRoleChanged
  | MemberBanned
  | MemberUnbanned
  | MemberInvited
  | MemberUninvited
  | MessagePosted
  | MessageEdited
  | MessageDeleted
  | ReactionAdded
  | ReactionRemoved

export type ConversationEventType = ConversationEvent['type']

/**
 * Whether events of this type may change which users are in a conversation or invited to it, or their roles. They may
 * concern users who do not receive the events of the conversation.
 */
export const isMembershipType = (type: string): boolean =>
  type === 'conversation.created' ||
  type === 'member.joined' ||
  type === 'member.left' ||
  type === 'member.banned' ||
  type === 'member.role_changed' ||
  type === 'member.invited' ||
  type === 'member.uninvited' ||
  type === 'conversation.settings_changed'
