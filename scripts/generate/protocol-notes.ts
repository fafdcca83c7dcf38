import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import { Limits, type Pushes, type RequestType } from '../../src/events/index.ts'
import { grouped, table } from './markdown.ts'

/** The text of docs/protocol.md that does not come from schemas: groups of requests, links to concepts, notes. */

export type AnyRequest = RequestType | 'hello'

/** Sections of requests, in the order of the page. */
export const groups: readonly (readonly [title: string, types: readonly AnyRequest[]])[] = [
  ['Session', ['hello', 'sessions', 'sync', 'ping']],
  [
    'Conversations',
    [
      'create',
      'direct',
      'conversation',
      'members',
      'invite',
      'accept',
      'decline',
      'invitations',
      'remove',
      'ban',
      'unban',
      'bans',
      'join',
      'leave',
      'role',
      'rename',
      'settings',
    ],
  ],
  ['Messages', ['send', 'edit', 'delete', 'react', 'history', 'search']],
  [
    'State of the user',
    ['inbox', 'undelivered', 'read', 'delivered', 'mute', 'hide', 'block', 'privacy', 'profile', 'profiles'],
  ],
  ['Presence and signals', ['presence', 'typing', 'call']],
  ['Uploads', ['media']],
]

export const concept = {
  connections: '[Connections](concepts/connections.md)',
  tokens: '[Tokens](concepts/tokens.md)',
  conversations: '[Conversations and roles](concepts/conversations.md)',
  invitations: '[Invitations](concepts/invitations.md)',
  bans: '[Bans](concepts/conversations.md#bans)',
  archive: '[Archived conversations](concepts/conversations.md#archived-conversations)',
  retries: '[Retries](concepts/retries.md)',
  reading: '[Reading](concepts/reading.md)',
  search: '[Search](concepts/reading.md#search)',
  markers: '[Read and delivered markers](concepts/markers.md)',
  resume: '[Resume and catch-up](concepts/resume.md)',
  presence: '[Presence](concepts/presence.md)',
  calls: '[Calls](concepts/calls.md)',
  media: '[Media](concepts/media.md)',
  data: '[Application data](concepts/application-data.md)',
  streams: '[Event streams](concepts/event-streams.md)',
  limits: '[Limits and slow consumers](concepts/limits.md)',
}

export const conceptsOf: Readonly<Record<AnyRequest, readonly string[]>> = {
  hello: [concept.connections, concept.tokens, concept.resume],
  sessions: [concept.tokens],
  sync: [concept.resume],
  ping: [concept.connections],
  create: [concept.conversations, concept.invitations, concept.data, concept.retries],
  direct: [concept.conversations],
  conversation: [concept.conversations],
  members: [concept.conversations, concept.markers],
  invite: [concept.invitations, concept.conversations, concept.retries],
  accept: [concept.invitations, concept.retries],
  decline: [concept.invitations, concept.retries],
  invitations: [concept.invitations],
  remove: [concept.conversations, concept.invitations, concept.retries],
  ban: [concept.bans, concept.retries],
  unban: [concept.bans, concept.retries],
  bans: [concept.bans],
  join: [concept.conversations, concept.retries],
  leave: [concept.conversations, concept.retries],
  role: [concept.conversations, concept.retries],
  rename: [concept.conversations, concept.retries],
  settings: [concept.conversations, concept.archive, concept.data, concept.retries],
  send: [concept.retries, concept.media, concept.data],
  edit: [concept.retries, concept.data],
  delete: [concept.retries],
  react: [concept.retries],
  history: [concept.reading],
  search: [concept.search],
  inbox: [concept.reading, concept.markers],
  undelivered: [concept.markers],
  read: [concept.markers],
  delivered: [concept.markers],
  mute: [concept.reading],
  hide: [concept.reading],
  block: [concept.conversations],
  privacy: [concept.presence, concept.markers, concept.invitations],
  profile: [concept.data],
  profiles: [concept.data],
  presence: [concept.presence],
  typing: [concept.presence],
  call: [concept.calls],
  media: [concept.media],
}

/** Facts about a request that its fields do not show. */
export const notes: Partial<Record<AnyRequest, readonly string[]>> = {
  create: [
    'The conversation has the id that the client chose. Ids are shared by all users: choose random ones.',
  ],
  delete: [
    '`history` still returns the message, followed by `message.deleted`. `inbox` and `search` omit it.',
  ],
  react: ['Reactions are a set of message, user and emoji. An event may repeat: never count events.'],
  join: ['A user that is a member already gets the answer of a successful join.'],
  leave: [
    'When the last owner leaves, the longest-standing admin becomes owner, or else the longest-standing member.',
  ],
  ban: ['A repeated `ban` with another `until` replaces the first one.'],
  hide: [
    'A hidden conversation returns to the inbox with the next message, also of the user’s own, and when the user opens it with `direct`.',
  ],
  mute: ['Muting changes the `muted` field of `inbox` and nothing else.'],
  block: [
    'A block works in both directions, wherever the two users are alone, for calls and for invitations.',
  ],
  invite: [
    'The user is a member at once, unless the user has to consent: then the answer has `pending`, and the event is `member.invited`.',
  ],
  sessions: [
    'Event streams are in the list once they have caught up. The sessions of a node that does not answer in time are missing.',
  ],
  typing: [
    'Other members receive the signal only in conversations of at most 100 members, unless configured.',
  ],
  call: ['No log stores the signal. A successful answer means that the server sent it, not that it arrived.'],
  sync: ['The answer precedes the missed events, which arrive as pushes.'],
}

/** A sentence that refers to other pages. */
export const see = (links: readonly string[]): string => `See ${links.join(', ')}.`

export const pushNotes: Readonly<Record<keyof typeof Pushes, string>> = {
  typing:
    `The server sends it in conversations of at most ${defaultEdgeLimits.typingMembers} members, unless configured: ` +
    `at once, then at most every ${defaultEdgeLimits.typingEveryMs / 1000} s. A typing signal ends ` +
    `${defaultEdgeLimits.typingSilenceMs / 1000} s after the last one. ${see([concept.presence])}`,
  presence: `The session watches the user with \`presence\`. ${see([concept.presence])}`,
  receipt:
    `The server sends it in conversations of at most ${defaultEdgeLimits.receiptMembers} members, unless configured. ` +
    `Moves of a marker within ${defaultEdgeLimits.receiptEveryMs} ms cause one receipt. ${see([concept.markers])}`,
  call: see([concept.calls]),
  inbox:
    'The fields have the values of `inbox`. A message of the user moves the marker too, but causes only its event. ' +
    see([concept.markers]),
  invitation: `The server sends it to all sessions of the invited user. A user that accepts receives \`member.joined\`. ${see([concept.invitations])}`,
  synced: see([concept.resume]),
  refetch: `The client drops its copy and reads \`history\`. ${see([concept.resume])}`,
  epoch: `The client sends the epoch with its cursors in the next \`hello\`. ${see([concept.resume])}`,
  drain: see([concept.connections]),
}

export const refetchReasons = table(
  ['reason', 'meaning'],
  [
    [
      '`too_far`',
      `The client has missed more than ${grouped(Limits.resumeEvents)} events of the conversation. ` +
        'On an event stream, also: more than 8 MiB in all conversations. Or the user may not read one of the events.',
    ],
    ['`unknown`', 'The sequence number of the client is beyond the last event of the conversation.'],
    [
      '`epoch`',
      'The home of the conversation has changed between regions, and events that the client has are lost. ' +
        'Other events have their sequence numbers, or none.',
    ],
    ['`not_member`', 'The user is not a member of the conversation, or there is no such conversation.'],
  ],
)

export const httpRoutes = table(
  ['route', 'purpose'],
  [
    ['`POST /v1/commands`', 'Answers one request, as the socket does. All requests but `hello` and `sync`.'],
    ['`GET /v1/conversations/{c}/events?after=&before=&around=&limit=&seen=`', 'As [`history`](#history).'],
    ['`GET /v1/inbox?limit=&cursor=&seen=`', 'As [`inbox`](#inbox). `seen` is a list: `tea:7,milk:9`.'],
    ['`GET /v1/invitations?c=&limit=&cursor=`', 'As [`invitations`](#invitations).'],
    ['`GET /v1/undelivered?limit=&cursor=`', 'As [`undelivered`](#undelivered).'],
    ['`GET /v1/search?q=&c=&from=&after=&before=&hasMedia=&limit=&cursor=`', 'As [`search`](#search).'],
    ['`GET /v1/media/{mediaId}`', 'Returns the state of an upload of the caller, as [`media`](#media).'],
    ['`POST /v1/media/{mediaId}/complete`', 'Verifies an upload. See [Media](concepts/media.md).'],
    ['`GET /v1/conversations/{c}/media/{mediaId}?redirect=`', 'Redirects (302) a member to an attachment.'],
    ['`GET /v1/stream`', 'Streams pushes as Server-Sent Events: [event stream](#event-stream).'],
    ['`GET /healthz`', 'Liveness: the process runs.'],
    [
      '`GET /readyz`',
      'Readiness: NATS and the stores are reachable, the log has its leaders, projections run. Else 503. The [admin listener](operations.md#the-admin-listener) names the components.',
    ],
    [
      '`GET /v1/openapi.json`, `GET /v1/asyncapi.json`',
      'This protocol as OpenAPI (HTTP) and AsyncAPI (socket).',
    ],
    ['`GET /v1/dev/token?user=alice`', 'Returns a token. Only with `serve --dev`.'],
  ],
)
