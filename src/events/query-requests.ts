import { type Static, Type } from '@sinclair/typebox'
import { Id, Mark, OneOf, Seq } from './ids.ts'
import { Limits } from './limits.ts'
import { Cursors, c, cursor, FileFields, page, request } from './request-schema.ts'
import { described, optional } from './schema.ts'

/** The kinds of call signals: WebRTC's offer, answer and ICE candidates, and the end of the call. */
export const CallKind = OneOf('offer', 'answer', 'candidate', 'bye')
export type CallKind = Static<typeof CallKind>
export const CallData = Type.String({ maxLength: Limits.callBytes, 'x-maxBytes': Limits.callBytes })

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
    epoch: optional(Seq, 'Epoch of the cursors. Default: the current one.'),
    cursors: described(
      Cursors,
      'Sequence number of the last event that the client applied, by conversation.',
      { 'x-maxEntries': Limits.cursors },
    ),
  }),
  ping: request('ping', 'Returns the time of the server.', {}),
} as const
