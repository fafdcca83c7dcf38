import { type Static, Type } from '@sinclair/typebox'
import { Id, OneOf, Seq, Time } from './ids.ts'
import { Limits } from './limits.ts'

/** `direct`: two people, for ever. `group`: by invitation. `channel`: whoever knows its id may join. */
export const Kind = OneOf('direct', 'group', 'channel')
export type Kind = Static<typeof Kind>

export const Role = OneOf('owner', 'admin', 'member')
export type Role = Static<typeof Role>

/** Who posts: everybody in it, or only its staff, the owner and admins. */
export const Posting = OneOf('everybody', 'staff')
export type Posting = Static<typeof Posting>

/** Slow mode: seconds between two messages of one plain member; 0 is off. */
export const SlowModeSeconds = Type.Integer({ minimum: 0, maximum: Limits.slowModeSeconds })

export const Title = Type.String({ minLength: 1, maxLength: Limits.titleChars })
export const Emoji = Type.String({ minLength: 1, maxLength: Limits.emojiChars })

/** What is said of a file. */
export const AttachmentFields = {
  name: Type.String({ minLength: 1, maxLength: 255 }),
  type: Type.String({ minLength: 1, maxLength: 127 }),
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
} as const

export const Attachment = Type.Object({ mediaId: Id, ...AttachmentFields })
export type Attachment = Static<typeof Attachment>

/** Every event of a conversation: what the log stores is what a client receives. `from` did it, `user` had it done to them. */
const event = <const T extends string, P extends Record<string, import('@sinclair/typebox').TSchema>>(
  type: T,
  fields: P,
) =>
  Type.Object({
    t: Type.Literal('event'),
    c: Id,
    seq: Seq,
    type: Type.Literal(type),
    from: Id,
    at: Time,
    ...fields,
  })

export const ConversationCreated = event('conversation.created', {
  kind: Kind,
  title: Type.Optional(Title),
  /** Everybody in it at the start, the creator included. */
  members: Type.Array(Type.Object({ user: Id, role: Role })),
})
export const ConversationRenamed = event('conversation.renamed', { title: Title })
/** The settings as they are from here on, changed or not. */
export const ConversationSettingsChanged = event('conversation.settings_changed', {
  posting: Posting,
  slowModeSeconds: SlowModeSeconds,
})
export const MemberJoined = event('member.joined', { user: Id, role: Role })
export const MemberLeft = event('member.left', {
  user: Id,
  /** Who became owner, when the last owner left. */
  successor: Type.Optional(Id),
})
export const MemberRoleChanged = event('member.role_changed', { user: Id, role: Role })
export const MessagePosted = event('message.posted', {
  m: Id,
  /** Ordinal among the conversation's messages: 1, 2, 3 … */
  n: Seq,
  text: Type.String(),
  replyTo: Type.Optional(Id),
  attachments: Type.Optional(Type.Array(Attachment)),
})
export const MessageEdited = event('message.edited', { m: Id, text: Type.String() })
export const MessageDeleted = event('message.deleted', { m: Id })
export const ReactionAdded = event('reaction.added', { m: Id, emoji: Emoji })
export const ReactionRemoved = event('reaction.removed', { m: Id, emoji: Emoji })

/** The schemas of conversation events, by type. */
export const ConversationEvents = {
  'conversation.created': ConversationCreated,
  'conversation.renamed': ConversationRenamed,
  'conversation.settings_changed': ConversationSettingsChanged,
  'member.joined': MemberJoined,
  'member.left': MemberLeft,
  'member.role_changed': MemberRoleChanged,
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
  | MessagePosted
  | MessageEdited
  | MessageDeleted
  | ReactionAdded
  | ReactionRemoved

export type ConversationEventType = ConversationEvent['type']

/** Whether an event changes who is in a conversation, or as what. */
export const isMembershipType = (type: string): boolean =>
  type === 'conversation.created' ||
  type === 'member.joined' ||
  type === 'member.left' ||
  type === 'member.role_changed'
