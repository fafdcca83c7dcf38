import { type Static, type TProperties, type TSchema, Type } from '@sinclair/typebox'
import { AppData, AppDataChange } from './app-data.ts'
import {
  Attachment,
  AttachmentFields,
  Emoji,
  HistoryFrom,
  Kind,
  Posting,
  Role,
  SlowModeSeconds,
  Title,
} from './conversation-events.ts'
import { Id, Mark, OneOf, Seq } from './ids.ts'
import { Limits } from './limits.ts'
import { described, optional } from './schema.ts'
import { InvitationsFor, LastSeenFor, ReceiptsFor } from './user-events.ts'

/** WebSocket subprotocols, by encoding. */
export const Subprotocol = { json: 'confab.v1.json', msgpack: 'confab.v1.msgpack' } as const

/** The client's id of a request. The answer repeats it as `re`. */
export const RequestId = Type.String({ minLength: 1, maxLength: Limits.idChars })

const id = described(RequestId, 'Id of the request, chosen by the client. The answer repeats it as `re`.')

/**
 * A request's schema. The description is the purpose of the request, in one sentence. Unknown fields are an error: a
 * client would otherwise believe that the server understood them.
 */
const request = <const T extends string, P extends TProperties>(t: T, description: string, fields: P) =>
  Type.Object(
    { id, t: described(Type.Literal(t), 'Type of the request.'), ...fields },
    {
      description,
      additionalProperties: false,
    },
  )

const c = described(Id, 'Conversation id.')
const m = described(Id, 'Message id.')
const key = optional(
  Id,
  'Idempotency key of the command. A retry with the same key gets the answer of the first attempt; another command needs another key.',
)
const cursor = optional(
  Type.String({ minLength: 1, maxLength: 512 }),
  'Cursor from the previous page. Absent: the first page.',
)
const text = (description: string) =>
  described(Type.String({ maxLength: Limits.textBytes }), description, { 'x-maxBytes': Limits.textBytes })
const page = (most: number, byDefault: number, of: string) =>
  optional(Type.Integer({ minimum: 1, maximum: most }), `Maximum number of ${of} in the page.`, {
    default: byDefault,
  })

const dataBounds = { 'x-maxBytes': Limits.dataBytes } as const
/** Data of something new, and a change of existing data. */
const data = optional(AppData, 'Data of the application, any JSON object. Absent or empty: none.', dataBounds)
const newData = optional(
  AppDataChange,
  'New data of the application, any JSON object. `null` or empty: remove it. Absent: unchanged.',
  dataBounds,
)

/** The description of a file as a device gives it. The server stores a normalised name and type. */
const FileFields = {
  ...AttachmentFields,
  name: described(
    Type.String({ minLength: 1, maxLength: 1024 }),
    'File name, as the device gives it. It may not have folders, control characters or characters that override the writing direction. The server removes other invisible characters, and normalises and shortens it.',
  ),
  type: described(
    Type.String({ maxLength: 255 }),
    'Media type, as the device gives it. The server stores it in lower case, without parameters, under its proper name. Empty: `application/octet-stream`.',
  ),
} as const

/** Conversation id to a sequence number, 0 for "no event yet". */
const Cursors = Type.Record(Id, Mark)

/** The kinds of call signals: WebRTC's offer, answer and ICE candidates, and the end of the call. */
export const CallKind = OneOf('offer', 'answer', 'candidate', 'bye')
export type CallKind = Static<typeof CallKind>
export const CallData = Type.String({ maxLength: Limits.callBytes, 'x-maxBytes': Limits.callBytes })

export const Hello = request('hello', 'Authenticates the connection and starts the session.', {
  token: optional(
    Type.String({ minLength: 1, maxLength: 8192 }),
    'JWT of the user. Absent: the server takes the token of the `Authorization` header.',
  ),
  device: optional(
    Id,
    'Name of the device, the same after a restart. A later session of the same user and device closes the earlier one with 4003.',
  ),
  resume: optional(
    Cursors,
    'Sequence number of the last event that the client applied, by conversation. The server sends the events after it.',
    { 'x-maxEntries': Limits.cursors },
  ),
})

/** Requests that append to a conversation's log. */
export const ConversationRequests = {
  create: request('create', 'Creates a conversation. The caller becomes its owner.', {
    c: described(Id, 'Id of the new conversation, chosen by the client.'),
    kind: described(Kind, 'Kind of the conversation. It never changes.'),
    title: optional(
      Title,
      'Title: not blank, without line breaks, control characters and bidirectional overrides. Absent: none.',
    ),
    members: described(
      Type.Array(Id, { maxItems: Limits.createMembers }),
      'First members, besides the caller; those that have to consent are invited. A `direct` conversation needs exactly one other user.',
    ),
    historyFrom: optional(
      HistoryFrom,
      'What members may read, as in `settings`. A `direct` conversation has no settings. Absent: `start`.',
    ),
    data,
    key,
  }),
  send: request('send', 'Posts a message.', {
    c,
    m: described(
      Id,
      'Message id, chosen by the client. A retry with the same id posts nothing; another message needs another id.',
    ),
    text: text('Text of the message. It may be blank only when there are attachments.'),
    replyTo: optional(Id, 'Id of the message that this message answers. The server does not check it.'),
    attachments: optional(
      Type.Array(
        Type.Object(
          { mediaId: Attachment.properties.mediaId, ...FileFields },
          { additionalProperties: false },
        ),
        { maxItems: Limits.attachments },
      ),
      'Uploaded and verified files of the caller.',
    ),
    data,
  }),
  edit: request('edit', 'Replaces the text of a message that the caller posted.', {
    c,
    m,
    text: text('The new text. It may not be blank.'),
    data: newData,
    key,
  }),
  delete: request('delete', 'Deletes a message.', { c, m, key }),
  react: request('react', 'Adds or removes a reaction of the caller to a message.', {
    c,
    m,
    emoji: described(
      Emoji,
      'One emoji, with or without variation selectors: the server stores its canonical form.',
    ),
    on: described(Type.Boolean(), '`true` adds the reaction, `false` removes it.'),
    key,
  }),
  invite: request('invite', 'Adds a user to a group or channel, or invites a user that has to consent.', {
    c,
    user: described(Id, 'The user to add.'),
    key,
  }),
  accept: request('accept', 'Accepts an invitation to a group or channel.', { c, key }),
  decline: request('decline', 'Declines an invitation to a group or channel.', { c, key }),
  remove: request(
    'remove',
    'Removes a member of a lower role from a group or channel, or withdraws an invitation.',
    {
      c,
      user: described(Id, 'The member to remove, or the invited user.'),
      key,
    },
  ),
  ban: request('ban', 'Bans a user from a group or channel, and removes a member.', {
    c,
    user: described(
      Id,
      'The user to ban: a member of a lower role, a follower, or a user that is not a member.',
    ),
    until: optional(
      Type.String({ minLength: 1, maxLength: 40 }),
      'End of the ban, as ISO 8601 with its zone, in the future. Absent: the ban has no end.',
    ),
    key,
  }),
  unban: request('unban', 'Lifts the ban of a user.', {
    c,
    user: described(Id, 'The banned user.'),
    key,
  }),
  role: request('role', 'Sets the role of a member.', {
    c,
    user: described(Id, 'The member.'),
    role: described(Role, 'The new role.'),
    key,
  }),
  join: request('join', 'Joins a channel.', { c, key }),
  leave: request('leave', 'Leaves a group or channel.', { c, key }),
  rename: request('rename', 'Changes the title of a group or channel.', {
    c,
    title: described(
      Title,
      'The new title: not blank, without line breaks, control characters and bidirectional overrides.',
    ),
    key,
  }),
  settings: request(
    'settings',
    'Sets who may post in a group or channel, how often, and what members may read; archives it; sets its data.',
    {
      c,
      posting: optional(
        Posting,
        'Members that may post: `everybody`, or `staff`, which are owners and admins. Absent: unchanged.',
      ),
      slowModeSeconds: optional(
        SlowModeSeconds,
        'Minimum time between two messages of a plain member, in seconds; 0 turns slow mode off. Absent: unchanged.',
      ),
      historyFrom: optional(
        HistoryFrom,
        'What members may read: `start`, everything; `join`, the events from their own joining on. It holds for all members at once. Absent: unchanged.',
      ),
      archived: optional(
        Type.Boolean(),
        '`true` archives the conversation: nothing is posted in it. `false` opens it again. Absent: unchanged.',
      ),
      data: newData,
      key,
    },
  ),
} as const

/** Requests that append to the log of a user. */
export const UserRequests = {
  read: request('read', 'Moves the caller’s read marker forward.', {
    c,
    seq: described(Mark, 'Sequence number of the last event that the user has read.'),
  }),
  delivered: request('delivered', 'Moves the caller’s delivered marker forward.', {
    c,
    seq: described(Mark, 'Sequence number of the last event that a device of the user has received.'),
  }),
  mute: request('mute', 'Mutes or unmutes a conversation for the caller.', {
    c,
    on: described(Type.Boolean(), '`true` mutes, `false` unmutes.'),
  }),
  hide: request('hide', 'Hides a conversation from the caller’s inbox, or shows it again.', {
    c,
    on: described(Type.Boolean(), '`true` hides, until there is a new message. `false` shows.'),
  }),
  block: request('block', 'Blocks or unblocks a user.', {
    user: described(Id, 'The user to block or unblock. It may not be the caller.'),
    on: described(Type.Boolean(), '`true` blocks, `false` unblocks.'),
  }),
  direct: request('direct', 'Returns the direct conversation with a user, and creates it if there is none.', {
    user: described(Id, 'The other user. It may not be the caller.'),
  }),
  profile: request('profile', 'Sets or returns the data of the caller’s profile, which all users may read.', {
    data: newData,
  }),
  privacy: request(
    'privacy',
    'Sets or returns which users may see the presence and the markers of the caller, and add the caller to conversations.',
    {
      lastSeen: optional(
        LastSeenFor,
        'Users that may see whether the caller is online, and when the caller last was. Absent: unchanged. Initially `contacts`.',
      ),
      receipts: optional(
        ReceiptsFor,
        'Users that may see the read and delivered markers of the caller, in `receipt` signals and in `members`. Absent: unchanged. Initially `everybody`.',
      ),
      invitations: optional(
        InvitationsFor,
        'Users that may add the caller to groups and channels: `everybody`; `contacts`, and others invite; `nobody`, and no user invites either. Absent: unchanged. Initially `everybody`.',
      ),
    },
  ),
} as const

/** Requests that append nothing to a log. */
export const QueryRequests = {
  typing: request('typing', 'Signals that the caller types, or stops typing.', {
    c,
    on: described(Type.Boolean(), '`true`: the user types. `false`: the user has stopped.'),
  }),
  call: request('call', 'Sends a WebRTC signal to another member of a conversation.', {
    c: described(Id, 'Conversation id. Caller and receiver are members of it.'),
    to: described(Id, 'User id of the receiver. The caller’s own id reaches the caller’s other sessions.'),
    session: optional(Id, 'Session id of the receiver. Absent: all sessions of the receiver.'),
    call: described(Id, 'Id of the call, chosen by the client that starts it.'),
    kind: described(CallKind, 'Kind of the signal.'),
    data: optional(
      CallData,
      'Content of the signal: an SDP, or a candidate as JSON. Only `bye` may omit it.',
    ),
  }),
  conversation: request('conversation', 'Returns the current state and settings of a conversation.', { c }),
  profiles: request('profiles', 'Returns the profiles of users.', {
    users: described(Type.Array(Id, { maxItems: Limits.profiles }), 'The users.'),
  }),
  presence: request(
    'presence',
    'Watches the presence of users, counts online members, and sets the presence of the session.',
    {
      users: optional(
        Type.Array(Id, { maxItems: Limits.presenceUsers }),
        'Users to watch, in place of those watched before. Empty: end the watch. Absent: unchanged.',
      ),
      c: optional(Id, 'Conversation in which to count online members.'),
      state: optional(
        OneOf('online', 'away'),
        'Presence of this session until the client sets another. It needs a socket.',
      ),
      lastSeen: optional(
        Type.Boolean(),
        `Whether to return when offline users were last online. At most ${Limits.lastSeenUsers} \`users\` then.`,
        { default: false },
      ),
    },
  ),
  history: request('history', 'Returns a page of the events of a conversation.', {
    c,
    before: optional(
      Seq,
      'Return the last events before this sequence number. Absent, and no `after`: the end. Not together with `after`.',
    ),
    after: optional(Mark, 'Return the first events after this sequence number. Not together with `before`.'),
    around: optional(
      Id,
      'Return the events around this message, about half of the page before it. Not together with `before` or `after`.',
    ),
    limit: page(Limits.historyPage, 50, 'events'),
    seen: optional(
      Mark,
      'Sequence number from an earlier answer. The page is read from a state that includes this event.',
    ),
  }),
  inbox: request('inbox', 'Returns the caller’s conversations, the one with the last message first.', {
    limit: page(Limits.inboxPage, 50, 'items'),
    cursor,
    seen: optional(
      Cursors,
      'Sequence numbers from earlier answers, by conversation. The server waits until the inbox includes them.',
      { 'x-maxEntries': Limits.seen },
    ),
  }),
  undelivered: request('undelivered', 'Returns the messages that no device of the caller has received.', {
    limit: page(Limits.undeliveredPage, 50, 'messages'),
    cursor,
  }),
  members: request('members', 'Returns the members of a conversation, with their markers.', {
    c,
    limit: page(Limits.membersPage, 50, 'members'),
    cursor,
  }),
  invitations: request(
    'invitations',
    'Returns the caller’s open invitations; or those of a group or channel, for owners and admins.',
    {
      c: optional(Id, 'Conversation whose open invitations to return. Absent: those of the caller.'),
      limit: page(Limits.invitationsPage, 50, 'invitations'),
      cursor,
    },
  ),
  bans: request('bans', 'Returns the banned users of a group or channel, for owners and admins.', {
    c,
    limit: page(Limits.membersPage, 50, 'bans'),
    cursor,
  }),
  search: request('search', 'Finds messages in the caller’s conversations by their words.', {
    q: described(
      Type.String({ minLength: 1, maxLength: Limits.queryChars }),
      'Words, `"phrases in quotes"` and `prefixes*`. A message must match all of them.',
    ),
    c: optional(Id, 'Search only this conversation.'),
    from: optional(Id, 'Find only messages of this user.'),
    after: optional(
      Type.String({ minLength: 1, maxLength: 40 }),
      'Find only messages posted at this time or later, as ISO 8601.',
    ),
    before: optional(
      Type.String({ minLength: 1, maxLength: 40 }),
      'Find only messages posted before this time, as ISO 8601.',
    ),
    hasMedia: optional(
      Type.Boolean(),
      '`true`: only messages with attachments. `false`: only messages without. Absent: both.',
    ),
    limit: page(Limits.searchPage, 20, 'hits'),
    cursor,
  }),
  media: request('media', 'Starts or continues the upload of a file.', {
    ...FileFields,
    mediaId: optional(
      Id,
      'Id of the upload to continue. The other fields repeat those of the first request.',
    ),
    c: optional(Id, 'Conversation that may already have this content. Then there is nothing to upload.'),
  }),
  sessions: request('sessions', 'Returns the sessions of the caller at all nodes, and ends one of them.', {
    end: optional(
      Id,
      'Session to end: its token is refused from then on, and every session that was opened with the token closes with 4004. Absent: end none.',
    ),
  }),
  sync: request('sync', 'Requests the events that the session has missed.', {
    cursors: described(
      Cursors,
      'Sequence number of the last event that the client applied, by conversation.',
      { 'x-maxEntries': Limits.cursors },
    ),
  }),
  ping: request('ping', 'Returns the time of the server.', {}),
} as const

/** The schemas of all requests but `hello`, by type. */
export const Requests = { ...ConversationRequests, ...UserRequests, ...QueryRequests } as const

type StaticOf<T extends Record<string, TSchema>> = { [K in keyof T]: Static<T[K]> }
export type HelloRequest = Static<typeof Hello>
export type RequestOf = StaticOf<typeof Requests>
export type RequestType = keyof RequestOf
export type Request = RequestOf[RequestType]
export type ConversationRequest = StaticOf<typeof ConversationRequests>[keyof typeof ConversationRequests]
export type UserRequest = StaticOf<typeof UserRequests>[keyof typeof UserRequests]

/** Close codes of the socket. docs/errors.md explains them. */
export const CloseCode = {
  goingAway: 1001,
  policy: 1008,
  tooBig: 1009,
  unauthenticated: 4001,
  helloTimeout: 4002,
  replaced: 4003,
  revoked: 4004,
  tooSlow: 4008,
  tooManySockets: 4029,
} as const
