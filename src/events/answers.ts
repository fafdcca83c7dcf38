import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { AppData } from './app-data.ts'
import {
  Attachment,
  type ConversationEvent,
  ConversationEvents,
  HistoryFrom,
  Kind,
  Posting,
  Role,
  SlowModeSeconds,
  Title,
} from './conversation-events.ts'
import type { ErrorBody } from './errors.ts'
import { Id, Mark, OneOf, Seq, Time } from './ids.ts'
import type { RequestType } from './protocol.ts'
import { Presence } from './pushes.ts'
import { described, optional } from './schema.ts'
import { InvitationsFor, LastSeenFor, ReceiptsFor } from './user-events.ts'

const orNull = <T extends TSchema>(schema: T, description: string) =>
  described(Type.Union([schema, Type.Null()]), description)

const c = described(Id, 'Conversation id.')
const m = described(Id, 'Message id.')
const from = described(Id, 'Author of the message.')
const cursor = optional(Type.String(), 'Cursor of the next page. Absent: this is the last page.')
const changed = Type.Object({
  seq: described(
    Seq,
    'Sequence number of the event. When nothing changed: of the last event of the conversation.',
  ),
})
const data = optional(AppData, 'Data of the application. Absent: none.')
const nothing = Type.Object({})

/** A message that no device of the user has received. */
export const UndeliveredMessage = Type.Object({
  c,
  seq: described(Seq, 'Sequence number of `message.posted`.'),
  m,
  from,
  at: described(Time, 'Time of the message.'),
  expires: described(Time, 'Time at which the message leaves the list, delivered or not.'),
})
export type UndeliveredMessage = Static<typeof UndeliveredMessage>

/** A conversation in the inbox of a user. */
export const InboxItem = Type.Object({
  c,
  kind: described(Kind, 'Kind of the conversation.'),
  title: orNull(Title, 'Title; `null`: none.'),
  head: described(Seq, 'Sequence number of the last event, of any type.'),
  lastMessage: orNull(
    Type.Object({
      seq: described(Seq, 'Sequence number of `message.posted`.'),
      m,
      from,
      at: described(Time, 'Time of the message.'),
      text: described(Type.String(), 'Text as last edited; empty for attachments alone.'),
    }),
    'The last message that is not deleted; `null`: none, or none that the user may read.',
  ),
  unread: described(Mark, 'Number of messages after the read marker that are not deleted.'),
  read: described(Mark, 'The read marker in effect; 0: nothing read.'),
  at: described(
    Time,
    'Time of the last message, deleted or not, or of the user’s own arrival if that is later. Items are sorted by it.',
  ),
  muted: described(Type.Boolean(), 'Whether the user has muted the conversation.'),
  archived: optional(
    Type.Literal(true),
    'Present when the conversation is archived: nothing is posted in it.',
  ),
  peer: optional(Id, 'The other user of a `direct` conversation.'),
})
export type InboxItem = Static<typeof InboxItem>

/** The state of a conversation, for one of its members. */
export const ConversationItem = Type.Object({
  kind: described(Kind, 'Kind of the conversation.'),
  title: orNull(Title, 'Title; `null`: none.'),
  head: described(Seq, 'Sequence number of the last event.'),
  memberCount: described(Mark, 'Number of members. Followers of a large channel do not count.'),
  role: described(Role, 'Role of the caller.'),
  posting: described(Posting, 'Members that may post: `everybody`, or `staff`, which are owners and admins.'),
  slowModeSeconds: described(
    SlowModeSeconds,
    'Minimum time between two messages of a plain member, in seconds; 0: slow mode is off.',
  ),
  data,
  archived: described(Type.Boolean(), 'Whether the conversation is archived: nothing is posted in it.'),
  historyFrom: described(
    HistoryFrom,
    'What members may read: everything (`start`), or the events from their own joining on (`join`).',
  ),
  first: described(Seq, 'Sequence number of the first event that the caller may read.'),
})
export type ConversationItem = Static<typeof ConversationItem>

export const MemberItem = Type.Object({
  user: described(Id, 'User id.'),
  role: described(Role, 'Role of the member.'),
  read: optional(Mark, 'The read marker that the member has set. Absent: none.'),
  delivered: optional(Mark, 'The delivered marker of the member. Absent: none.'),
})
export type MemberItem = Static<typeof MemberItem>

/** The profile of a user. */
export const ProfileItem = Type.Object({ user: described(Id, 'User id.'), data })
export type ProfileItem = Static<typeof ProfileItem>
/** A banned user. */
export const BanItem = Type.Object({
  user: described(Id, 'User id.'),
  until: optional(Time, 'End of the ban. Absent: it has no end.'),
})
export type BanItem = Static<typeof BanItem>

/** An open invitation. */
export const InvitationItem = Type.Object({
  c,
  kind: described(Kind, 'Kind of the conversation.'),
  title: orNull(Title, 'Title; `null`: none.'),
  memberCount: described(Mark, 'Number of members, without the followers of a large channel.'),
  user: described(Id, 'The invited user.'),
  by: described(Id, 'User that invited.'),
  at: described(Time, 'Time of the invitation.'),
})
export type InvitationItem = Static<typeof InvitationItem>

export const SearchHit = Type.Object({
  c,
  seq: described(Seq, 'Sequence number of `message.posted`, also after an edit.'),
  m,
  from,
  at: described(Time, 'Time of `message.posted`, also after an edit.'),
  text: described(Type.String(), 'The whole text, as last edited.'),
  highlight: described(
    Type.String(),
    'HTML: the escaped text with `<mark>` around each match. Of a text over 300 characters, about as many around the first match, with `…` at each cut.',
  ),
})
export type SearchHit = Static<typeof SearchHit>

/** A part of an upload: the request that sends its bytes. */
export const MediaPart = Type.Object({
  url: described(Type.String(), 'Signed URL. A URL that starts with `/` is a path of this server.'),
  method: described(Type.Literal('PUT'), 'HTTP method.'),
  headers: described(Type.Record(Type.String(), Type.String()), 'HTTP headers to send.'),
  range: described(
    Type.Tuple([Type.Integer({ minimum: 0 }), Type.Integer({ minimum: 0 })]),
    'Bytes of the part: offset of the first byte, and offset after the last byte.',
  ),
})
export type MediaPart = Static<typeof MediaPart>

/** A session of the caller. */
export const SessionItem = Type.Object({
  session: described(Id, 'Session id.'),
  device: optional(Id, 'Device of the session. Absent: the client named none.'),
  transport: described(OneOf('websocket', 'event-stream', 'grpc'), 'Transport of the session.'),
  address: optional(
    Type.String(),
    'Address of the client; of IPv6, the /64 network. Absent: the server does not know it.',
  ),
  since: described(Time, 'Time at which the session opened.'),
  active: described(Time, 'Time of the last request that its user caused.'),
  current: optional(Type.Literal(true), 'Present on the session that sent the request.'),
})
export type SessionItem = Static<typeof SessionItem>

/** An event of any type. */
const AnyEvent = Type.Unsafe<ConversationEvent>(Type.Union(Object.values(ConversationEvents) as TSchema[]))

const marker = (of: string) => Type.Object({ seq: described(Mark, `The ${of} marker after the request.`) })

/** The fields that the answer to each request adds to `re` and `ok`. */
export const Answers = {
  create: Type.Object({
    seq: described(Seq, 'Sequence number of `conversation.created`: 1.'),
    duplicate: described(Type.Boolean(), 'Whether an earlier attempt with the same key created it.'),
  }),
  send: Type.Object({
    seq: described(Seq, 'Sequence number of `message.posted`.'),
    at: described(Time, 'Time of `message.posted`.'),
    duplicate: described(Type.Boolean(), 'Whether an earlier attempt posted the message.'),
  }),
  edit: changed,
  delete: changed,
  react: changed,
  invite: Type.Object({
    ...changed.properties,
    pending: optional(
      Type.Literal(true),
      'The user is invited, and not a member before accepting. Absent: the user is a member.',
    ),
  }),
  accept: changed,
  decline: changed,
  remove: changed,
  ban: changed,
  unban: changed,
  role: changed,
  join: changed,
  leave: changed,
  rename: changed,
  settings: changed,
  read: marker('read'),
  delivered: marker('delivered'),
  mute: nothing,
  hide: nothing,
  block: nothing,
  direct: Type.Object({
    c: described(Id, 'Id of the direct conversation.'),
    seq: described(
      Seq,
      '1 if this request created the conversation, otherwise the sequence number of its last event.',
    ),
    created: described(Type.Boolean(), 'Whether this request created the conversation.'),
  }),
  privacy: Type.Object({
    lastSeen: described(
      LastSeenFor,
      'Users that may see whether the caller is online, and when the caller last was.',
    ),
    receipts: described(ReceiptsFor, 'Users that may see the markers of the caller.'),
    invitations: described(InvitationsFor, 'Users that may add the caller to groups and channels.'),
  }),
  profile: Type.Object({ data }),
  typing: nothing,
  call: nothing,
  conversation: ConversationItem,
  profiles: Type.Object({
    profiles: described(
      Type.Array(ProfileItem),
      'The first of `users`, in their order, as many as fit a frame: at least one.',
    ),
    more: described(Type.Boolean(), 'Whether users remain: request them again.'),
  }),
  presence: Type.Object({
    states: described(Type.Record(Id, Presence), 'Presence of each of `users`, by user id.'),
    online: optional(Mark, 'With `c`: number of members that are not offline.'),
    of: optional(Mark, 'With `c`: number of members, as `memberCount`.'),
    approximate: optional(Type.Literal(true), 'Present when `online` is an estimate.'),
    lastSeen: optional(
      Type.Record(Id, Time),
      'With `lastSeen`: time of the last disconnect, by user id, for offline users that allow it.',
    ),
  }),
  history: Type.Object({
    events: described(Type.Array(AnyEvent), 'Events in ascending order.'),
    head: described(Mark, 'Sequence number of the last event of the conversation.'),
    more: described(
      Type.Boolean(),
      'Whether the caller may read more events in the direction of the page: later ones with `after`, else earlier ones.',
    ),
    moreAfter: optional(Type.Boolean(), 'With `around`: whether the conversation has later events.'),
    first: optional(
      Seq,
      'Sequence number of the first event that the caller may read, with `historyFrom` `join`. Absent: 1.',
    ),
  }),
  undelivered: Type.Object({
    messages: described(Type.Array(UndeliveredMessage), 'Messages, sorted by `c` and `seq`.'),
    cursor,
  }),
  inbox: Type.Object({
    items: described(Type.Array(InboxItem), 'Conversations, the one with the last message first.'),
    cursor,
    behind: optional(Type.Literal(true), 'Present when the inbox does not include all of `seen` yet.'),
  }),
  members: Type.Object({
    members: described(Type.Array(MemberItem), 'Members, sorted by user id.'),
    cursor,
  }),
  invitations: Type.Object({
    open: described(
      Type.Array(InvitationItem),
      'Open invitations, sorted by `c`; with `c` in the request, by `user`.',
    ),
    cursor,
  }),
  bans: Type.Object({
    bans: described(Type.Array(BanItem), 'Bans that have not ended, sorted by user id.'),
    cursor,
  }),
  search: Type.Object({ hits: described(Type.Array(SearchHit), 'Messages, newest first.'), cursor }),
  media: Type.Object({
    mediaId: described(Id, 'Id of the upload.'),
    name: described(Attachment.properties.name, 'File name, as the server has normalised it.'),
    type: described(Attachment.properties.type, 'Media type, as the server has normalised it.'),
    parts: described(Type.Array(MediaPart), 'Parts that are missing: the first 16 of them.'),
    missing: described(Mark, 'Number of missing parts in total.'),
    verified: described(Type.Boolean(), 'Whether a message may attach the file.'),
    complete: described(Type.String(), 'Path of the request that completes the upload.'),
  }),
  sessions: Type.Object({
    sessions: described(Type.Array(SessionItem), 'Open sessions of the caller, the newest first.'),
  }),
  sync: nothing,
  ping: Type.Object({ at: described(Time, 'Time of the server.') }),
} as const satisfies Record<RequestType, TSchema>

export const HelloAnswer = Type.Object({
  user: described(Id, 'User id, from the token.'),
  session: described(Id, 'Session id.'),
  epoch: described(Seq, 'Current epoch: how often homes of the log have changed between regions.'),
  heartbeatMs: described(
    Type.Integer({ minimum: 1 }),
    'Silence after which the server sends a ping, in milliseconds.',
  ),
  limits: described(Type.Record(Type.String(), Type.Integer()), 'The limits of the protocol, by name.'),
})
export type HelloAnswer = Static<typeof HelloAnswer>

/** The fields that the answer to each request adds to `re` and `ok`, as types. */
export type AnswerOf = { [T in RequestType]: Static<(typeof Answers)[T]> }

export type Answer<T extends RequestType = RequestType> =
  | ({ re: string; ok: true } & AnswerOf[T])
  | { re: string; ok: false; error: ErrorBody }
