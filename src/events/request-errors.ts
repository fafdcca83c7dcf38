import type { ErrorCode } from './errors.ts'
import { Limits } from './limits.ts'
import type { RequestType } from './protocol.ts'

/** A reason for which the server answers a request with an error. */
export interface RequestError {
  readonly code: ErrorCode
  /** JSON pointer of the field at fault, as in the error. */
  readonly field?: string
  readonly when: string
}

const grouped = (value: number): string => value.toLocaleString('en')

/** Errors that any request may be answered with. */
export const CommonErrors: readonly RequestError[] = [
  {
    code: 'BAD_REQUEST',
    when: 'The frame is not an object, its type is unknown, or a field breaks its schema.',
  },
  { code: 'UNAUTHENTICATED', when: 'The session has not sent `hello`, or the token is missing or invalid.' },
  {
    code: 'TOO_LARGE',
    when: `The frame, or the body of \`POST /v1/commands\`, has more than ${grouped(Limits.frameBytes)} bytes.`,
  },
  { code: 'RATE_LIMITED', when: 'A rate limit of the socket, the user or the conversation is exceeded.' },
  {
    code: 'QUOTA_EXCEEDED',
    when: 'The user has used up a daily quota: of commands, new conversations or uploads.',
  },
  {
    code: 'OVERLOADED',
    when: 'Too many requests are in progress, or the node is nearly full. Also new conversations and uploads, when its storage is.',
  },
  {
    code: 'UNAVAILABLE',
    when: 'NATS, a store or a commands node did not answer in time, or the live feed is interrupted.',
  },
  {
    code: 'UNREADABLE_EVENT',
    when: 'The log has an event of this conversation or user that the server cannot read, for example during a rolling upgrade.',
  },
  {
    code: 'LOG_DAMAGED',
    when: 'The log has lost events of this conversation or user. Only members of the conversation receive this code.',
  },
  { code: 'INTERNAL', when: 'A defect of confab. The log of the server has the details.' },
]

const noConversation: RequestError = {
  code: 'NOT_FOUND',
  when: 'There is no such conversation, or it is a group or direct conversation of other users.',
}
const notMember: RequestError = {
  code: 'NOT_MEMBER',
  when: 'The conversation is a channel and the caller is not a member.',
}
const membersOnly: readonly RequestError[] = [noConversation, notMember]
const noMessage: RequestError = {
  code: 'NOT_FOUND',
  field: '/m',
  when: 'There is no such message, or it is deleted.',
}
const textTooLarge: RequestError = {
  code: 'TOO_LARGE',
  field: '/text',
  when: `The text has more than ${grouped(Limits.textBytes)} bytes of UTF-8.`,
}
const badData: readonly RequestError[] = [
  {
    code: 'BAD_REQUEST',
    field: '/data',
    when: `The data is not a JSON object of finite numbers and well-formed texts, has a key \`__proto__\`, or more than ${Limits.dataDepth} levels. \`field\` names the value.`,
  },
  {
    code: 'TOO_LARGE',
    field: '/data',
    when: `The data has more than ${grouped(Limits.dataBytes)} bytes as JSON in UTF-8.`,
  },
]
const keyReused: RequestError = {
  code: 'CONFLICT',
  field: '/key',
  when: 'The caller has used the key for another command in this conversation.',
}
const badTitle: RequestError = {
  code: 'BAD_REQUEST',
  field: '/title',
  when: 'The title is blank, or has line breaks, control characters or bidirectional overrides.',
}
const blocked: RequestError = {
  code: 'FORBIDDEN',
  when: 'The conversation has two members, and one of them has blocked the other.',
}
const blockedThird: RequestError = {
  code: 'FORBIDDEN',
  when: 'The conversation has two members, one of them has blocked the other, and the request names a third user.',
}
const staffPosts: RequestError = {
  code: 'FORBIDDEN',
  when: 'The setting `posting` is `staff`, and the caller is a plain member.',
}
const archived: RequestError = { code: 'ARCHIVED', when: 'The conversation is archived.' }
const bannedUser: RequestError = {
  code: 'BANNED',
  field: '/user',
  when: 'The user is banned. The error has the end of the ban as `until`, if there is one.',
}
const notAddable: RequestError = {
  code: 'FORBIDDEN',
  field: '/user',
  when: 'The user refuses to be added and invited by the caller. One answer for all reasons: the setting `invitations` is `nobody`, or one of the two has blocked the other.',
}
const manyInvitations: RequestError = {
  code: 'CONFLICT',
  field: '/user',
  when: 'The user has to consent, and the conversation, or the caller in it, has as many open invitations as it may have (1,000 and 500, unless configured).',
}
const notInvited: readonly RequestError[] = [
  {
    code: 'NOT_FOUND',
    when: 'There is no such conversation, or it is a group or direct conversation of other users that has not invited the caller.',
  },
  {
    code: 'NOT_MEMBER',
    when: 'The conversation is a channel, and the caller is neither invited nor a member.',
  },
]
const direct: RequestError = { code: 'FORBIDDEN', when: 'The conversation is direct.' }
const plainMember: RequestError = { code: 'FORBIDDEN', when: 'The caller is a plain member.' }
const badCursor: RequestError = {
  code: 'BAD_REQUEST',
  field: '/cursor',
  when: 'The cursor is not from an earlier answer.',
}
const noMediaStore: RequestError = {
  code: 'UNAVAILABLE',
  when: 'The server has no media store, or cannot reach it.',
}

/**
 * The errors of each request, besides those of any request. docs/protocol.md lists them, and
 * test/docs/protocol-errors.test.ts causes each of them.
 */
export const RequestErrors: Readonly<Record<RequestType | 'hello', readonly RequestError[]>> = {
  hello: [
    { code: 'BAD_REQUEST', field: '/t', when: 'The session has sent `hello` already.' },
    {
      code: 'BAD_REQUEST',
      field: '/resume',
      when: `\`resume\` names more than ${grouped(Limits.cursors)} conversations.`,
    },
    {
      code: 'UNAUTHENTICATED',
      when: 'There is no token, or it is malformed, forged or expired. The server closes the socket with 4001.',
    },
    {
      code: 'RATE_LIMITED',
      when: 'The user has too many sockets at this node. The server closes the socket with 4029.',
    },
    {
      code: 'OVERLOADED',
      when: 'Too many clients connect at once. The client may retry on the same socket after `retryAfterMs`.',
    },
  ],
  create: [
    badTitle,
    ...badData,
    { code: 'ALREADY_EXISTS', field: '/c', when: 'A conversation with this id exists.' },
    keyReused,
    {
      code: 'ALREADY_EXISTS',
      field: '/members',
      when: 'The two users have a `direct` conversation already. The error names it as `c`.',
    },
    {
      code: 'BAD_REQUEST',
      field: '/members',
      when: 'A `direct` conversation would not have exactly two members.',
    },
    {
      code: 'FORBIDDEN',
      when: 'The conversation would be `direct`, and one of the two users has blocked the other.',
    },
    { code: 'BAD_REQUEST', field: '/historyFrom', when: 'A `direct` conversation has no settings.' },
    { ...notAddable, field: '/members/0', when: `${notAddable.when} \`field\` names the user.` },
    {
      ...manyInvitations,
      field: '/members',
      when: 'More of the users have to consent than the conversation may invite (500, unless configured).',
    },
  ],
  send: [
    ...membersOnly,
    { code: 'BAD_REQUEST', field: '/text', when: 'The text is blank and there are no attachments.' },
    textTooLarge,
    ...badData,
    {
      code: 'CONFLICT',
      field: '/m',
      when: 'Another user has posted a message with this id, or the caller has posted another one with it.',
    },
    blocked,
    archived,
    staffPosts,
    {
      code: 'RATE_LIMITED',
      when: 'Slow mode is on, and the previous message of the caller is too recent.',
    },
    {
      code: 'BAD_REQUEST',
      field: '/attachments/0/name',
      when: 'The name of an attachment is one that `media` refuses.',
    },
    {
      code: 'NOT_FOUND',
      field: '/attachments/0/mediaId',
      when: 'There is no such upload of the caller.',
    },
    {
      code: 'MEDIA_INCOMPLETE',
      field: '/attachments/0/mediaId',
      when: 'The upload is not completed and verified.',
    },
    {
      code: 'MEDIA_MISMATCH',
      field: '/attachments/0/name',
      when: 'A field of the attachment differs from the upload. `field` names it.',
    },
    noMediaStore,
  ],
  edit: [
    ...membersOnly,
    noMessage,
    { code: 'BAD_REQUEST', field: '/text', when: 'The text is blank.' },
    textTooLarge,
    ...badData,
    { code: 'FORBIDDEN', when: 'The caller is not the author.' },
    blocked,
    archived,
    staffPosts,
    keyReused,
  ],
  delete: [
    ...membersOnly,
    { code: 'NOT_FOUND', field: '/m', when: 'There is no such message.' },
    {
      code: 'FORBIDDEN',
      when: 'The caller is not the author, and the caller is a plain member or the conversation is direct.',
    },
    keyReused,
  ],
  react: [
    ...membersOnly,
    noMessage,
    { code: 'BAD_REQUEST', field: '/emoji', when: '`on` is true and the text is not one emoji.' },
    {
      code: 'CONFLICT',
      field: '/emoji',
      when: 'The caller has as many reactions to the message as a user may have (20, unless configured).',
    },
    {
      code: 'CONFLICT',
      field: '/emoji',
      when: 'The message has as many different reactions as it may have (64, unless configured).',
    },
    blocked,
    archived,
    keyReused,
  ],
  invite: [
    ...membersOnly,
    direct,
    plainMember,
    bannedUser,
    notAddable,
    manyInvitations,
    { code: 'ARCHIVED', when: 'The user has to consent, and the conversation is archived.' },
    blocked,
    keyReused,
  ],
  accept: [...notInvited, keyReused],
  decline: [...notInvited, keyReused],
  remove: [
    ...membersOnly,
    direct,
    plainMember,
    { code: 'FORBIDDEN', when: 'The role of the member is not lower than that of the caller.' },
    blockedThird,
    keyReused,
  ],
  ban: [
    ...membersOnly,
    direct,
    plainMember,
    { code: 'FORBIDDEN', when: 'The role of the member is not lower than that of the caller.' },
    { code: 'BAD_REQUEST', field: '/until', when: '`until` is not a time, or not in the future.' },
    {
      code: 'CONFLICT',
      field: '/user',
      when: 'The conversation has as many bans as it may have (1,000, unless configured).',
    },
    blockedThird,
    keyReused,
  ],
  unban: [...membersOnly, direct, plainMember, blockedThird, keyReused],
  role: [
    ...membersOnly,
    direct,
    { code: 'FORBIDDEN', when: 'The caller is not an owner.' },
    bannedUser,
    { code: 'NOT_FOUND', field: '/user', when: 'The user is not a member.' },
    { code: 'CONFLICT', when: 'The member is the last owner.' },
    keyReused,
  ],
  join: [
    { code: 'NOT_FOUND', when: 'There is no such conversation, or it is not a channel.' },
    { code: 'FORBIDDEN', when: 'The conversation is direct and the caller is in it.' },
    {
      code: 'BANNED',
      when: 'The caller is banned from the channel. The error has the end of the ban as `until`, if there is one.',
    },
    keyReused,
  ],
  leave: [...membersOnly, direct, keyReused],
  rename: [...membersOnly, badTitle, direct, plainMember, blocked, keyReused],
  settings: [...membersOnly, ...badData, direct, plainMember, blocked, keyReused],
  read: membersOnly,
  delivered: membersOnly,
  mute: membersOnly,
  hide: membersOnly,
  block: [{ code: 'BAD_REQUEST', field: '/user', when: '`user` is the caller.' }],
  direct: [
    { code: 'BAD_REQUEST', field: '/user', when: '`user` is the caller.' },
    { code: 'FORBIDDEN', when: 'One of the two users has blocked the other.' },
  ],
  privacy: [],
  profile: badData,
  profiles: [],
  typing: [...membersOnly, archived],
  call: [
    ...membersOnly,
    { code: 'NOT_FOUND', field: '/to', when: 'The receiver is not a member.' },
    { code: 'BAD_REQUEST', field: '/data', when: '`data` is absent and `kind` is not `bye`.' },
    {
      code: 'TOO_LARGE',
      field: '/data',
      when: `\`data\` has more than ${grouped(Limits.callBytes)} bytes of UTF-8.`,
    },
    {
      code: 'FORBIDDEN',
      when: 'The conversation has too many members for calls (more than 100, unless configured).',
    },
    { code: 'FORBIDDEN', when: 'One of the two users has blocked the other.' },
    { code: 'ARCHIVED', when: 'The conversation is archived, and `kind` is not `bye`.' },
    {
      code: 'RATE_LIMITED',
      when: 'The caller sends too many call signals (more than 20 per second, unless configured).',
    },
  ],
  conversation: membersOnly,
  presence: [
    ...membersOnly,
    {
      code: 'BAD_REQUEST',
      field: '/lastSeen',
      when: `\`lastSeen\` is true and there are more than ${Limits.lastSeenUsers} \`users\`.`,
    },
    { code: 'BAD_REQUEST', field: '/state', when: '`state` was sent over HTTP.' },
    {
      code: 'OVERLOADED',
      when: 'The node, or the sessions of the caller together, watch as many users as they may.',
    },
  ],
  history: [
    ...membersOnly,
    { code: 'BAD_REQUEST', field: '/before', when: 'Both `before` and `after` are given.' },
    { code: 'BAD_REQUEST', field: '/around', when: '`around` is given together with `before` or `after`.' },
    { code: 'NOT_FOUND', field: '/around', when: 'The message does not exist.' },
  ],
  inbox: [
    badCursor,
    { code: 'BAD_REQUEST', field: '/seen', when: `\`seen\` names more than ${Limits.seen} conversations.` },
  ],
  undelivered: [badCursor],
  members: [...membersOnly, badCursor],
  invitations: [...membersOnly, direct, plainMember, badCursor],
  bans: [...membersOnly, direct, plainMember, badCursor],
  search: [
    { code: 'NOT_FOUND', when: '`c` is not a conversation of the caller.' },
    { code: 'NOT_MEMBER', when: '`c` is a channel and the caller is not a member.' },
    { code: 'BAD_REQUEST', field: '/q', when: 'The query is blank, or has more than 256 words.' },
    { code: 'BAD_REQUEST', field: '/after', when: '`after` is not a time.' },
    { code: 'BAD_REQUEST', field: '/before', when: '`before` is not a time.' },
    badCursor,
    {
      code: 'OVERLOADED',
      when: 'The search, with its wait for other searches, takes too long (5 s, unless configured).',
    },
  ],
  media: [
    ...membersOnly,
    {
      code: 'BAD_REQUEST',
      field: '/name',
      when: 'The name has folders, control characters or characters that override the writing direction, or is blank.',
    },
    {
      code: 'BAD_REQUEST',
      field: '/type',
      when: 'The type is not a media type.',
    },
    { code: 'BAD_REQUEST', field: '/size', when: 'The size is 0.' },
    { code: 'TOO_LARGE', field: '/size', when: 'The size is over `media.maxSize`.' },
    { code: 'NOT_FOUND', field: '/mediaId', when: 'There is no such upload of the caller.' },
    {
      code: 'MEDIA_MISMATCH',
      field: '/name',
      when: 'A field differs from the first request of the upload. `field` names it.',
    },
    noMediaStore,
  ],
  sessions: [
    { code: 'NOT_FOUND', field: '/end', when: 'The caller has no such session.' },
    { code: 'RATE_LIMITED', when: 'The caller has ended 100 sessions with different tokens already.' },
  ],
  sync: [
    {
      code: 'BAD_REQUEST',
      field: '/cursors',
      when: `\`cursors\` names more than ${grouped(Limits.cursors)} conversations.`,
    },
    { code: 'BAD_REQUEST', field: '/t', when: 'The request was sent over HTTP.' },
    {
      code: 'OVERLOADED',
      when: 'Too many conversations of the session wait for missed events (10,000, unless configured).',
    },
  ],
  ping: [],
}
