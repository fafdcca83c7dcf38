import { type Static, type TProperties, Type } from '@sinclair/typebox'
import {
  Attachment,
  AttachmentFields,
  type ConversationEvent,
  Emoji,
  Kind,
  Posting,
  Role,
  SlowModeSeconds,
  Title,
} from './conversation-events.ts'
import type { ErrorBody } from './errors.ts'
import { Id, Mark, Seq } from './ids.ts'
import { Limits } from './limits.ts'
import { LastSeenFor } from './user-events.ts'

/** Subprotocols of the socket, by encoding. */
export const Subprotocol = { json: 'confab.v1.json', msgpack: 'confab.v1.msgpack' } as const

/** The client's own id of a request, echoed as `re`. */
export const RequestId = Type.String({ minLength: 1, maxLength: Limits.idChars })

const request = <const T extends string, P extends TProperties>(t: T, fields: P) =>
  Type.Object({ id: RequestId, t: Type.Literal(t), ...fields })

/** Idempotency key of a command: sent again by the same user with the same key, it is answered as it was the first time. */
const key = Type.Optional(Id)
const cursor = Type.Optional(Type.String({ minLength: 1, maxLength: 512 }))
const text = Type.String({ maxLength: Limits.textBytes })
const page = (most: number) => Type.Optional(Type.Integer({ minimum: 1, maximum: most }))
/** Conversation id to the last seq that the client has applied. At most `Limits.cursors` entries: counted by the edge. */
const Cursors = Type.Record(Id, Mark)

/** What is said of a call: WebRTC's offer, answer and ICE candidates, and that it is over. */
export const CallKind = Type.Union([
  Type.Literal('offer'),
  Type.Literal('answer'),
  Type.Literal('candidate'),
  Type.Literal('bye'),
])
export type CallKind = Static<typeof CallKind>
export const CallData = Type.String({ maxLength: Limits.callBytes })

export const Hello = request('hello', {
  token: Type.Optional(Type.String({ minLength: 1, maxLength: 8192 })),
  device: Type.Optional(Id),
  resume: Type.Optional(Cursors),
})

/** Requests that append to a conversation's log. */
export const ConversationRequests = {
  create: request('create', {
    c: Id,
    kind: Kind,
    title: Type.Optional(Title),
    members: Type.Array(Id, { maxItems: Limits.createMembers }),
    key,
  }),
  send: request('send', {
    c: Id,
    m: Id,
    text,
    replyTo: Type.Optional(Id),
    attachments: Type.Optional(Type.Array(Attachment, { maxItems: Limits.attachments })),
  }),
  edit: request('edit', { c: Id, m: Id, text, key }),
  delete: request('delete', { c: Id, m: Id, key }),
  react: request('react', { c: Id, m: Id, emoji: Emoji, on: Type.Boolean(), key }),
  invite: request('invite', { c: Id, user: Id, key }),
  remove: request('remove', { c: Id, user: Id, key }),
  role: request('role', { c: Id, user: Id, role: Role, key }),
  join: request('join', { c: Id, key }),
  leave: request('leave', { c: Id, key }),
  rename: request('rename', { c: Id, title: Title, key }),
  settings: request('settings', {
    c: Id,
    posting: Type.Optional(Posting),
    slowModeSeconds: Type.Optional(SlowModeSeconds),
    key,
  }),
} as const

/** Requests that append to the user's own log. */
export const UserRequests = {
  read: request('read', { c: Id, seq: Mark }),
  delivered: request('delivered', { c: Id, seq: Mark }),
  mute: request('mute', { c: Id, on: Type.Boolean() }),
  block: request('block', { user: Id, on: Type.Boolean() }),
  privacy: request('privacy', { lastSeen: Type.Optional(LastSeenFor) }),
} as const

/** Requests that change nothing in the log. */
export const QueryRequests = {
  typing: request('typing', { c: Id, on: Type.Boolean() }),
  call: request('call', {
    c: Id,
    to: Id,
    session: Type.Optional(Id),
    call: Id,
    kind: CallKind,
    data: Type.Optional(CallData),
  }),
  conversation: request('conversation', { c: Id }),
  presence: request('presence', {
    users: Type.Optional(Type.Array(Id, { maxItems: Limits.presenceUsers })),
    c: Type.Optional(Id),
    state: Type.Optional(Type.Union([Type.Literal('online'), Type.Literal('away')])),
    lastSeen: Type.Optional(Type.Boolean()),
  }),
  history: request('history', {
    c: Id,
    before: Type.Optional(Seq),
    after: Type.Optional(Mark),
    limit: page(Limits.historyPage),
    seen: Type.Optional(Mark),
  }),
  inbox: request('inbox', {
    limit: page(Limits.inboxPage),
    cursor,
    seen: Type.Optional(Cursors),
  }),
  undelivered: request('undelivered', { limit: page(Limits.undeliveredPage), cursor }),
  members: request('members', { c: Id, limit: page(Limits.membersPage), cursor }),
  search: request('search', {
    q: Type.String({ minLength: 1, maxLength: Limits.queryChars }),
    c: Type.Optional(Id),
    from: Type.Optional(Id),
    after: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    before: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    hasMedia: Type.Optional(Type.Boolean()),
    limit: page(Limits.searchPage),
    cursor,
  }),
  media: request('media', {
    ...AttachmentFields,
    mediaId: Type.Optional(Id),
    c: Type.Optional(Id),
  }),
  sync: request('sync', { cursors: Cursors }),
  ping: request('ping', {}),
} as const

/** Every request but `hello`, by type. */
export const Requests = { ...ConversationRequests, ...UserRequests, ...QueryRequests } as const

type StaticOf<T extends Record<string, import('@sinclair/typebox').TSchema>> = {
  [K in keyof T]: Static<T[K]>
}
export type HelloRequest = Static<typeof Hello>
export type RequestOf = StaticOf<typeof Requests>
export type RequestType = keyof RequestOf
export type Request = RequestOf[RequestType]
export type ConversationRequest = StaticOf<typeof ConversationRequests>[keyof typeof ConversationRequests]
export type UserRequest = StaticOf<typeof UserRequests>[keyof typeof UserRequests]

/** A message that none of one's devices has got yet. */
export interface UndeliveredMessage {
  c: string
  seq: number
  m: string
  from: string
  at: string
  /** When it stops waiting. */
  expires: string
}

export interface InboxItem {
  c: string
  kind: Kind
  title: string | null
  /** seq of the conversation's last event. */
  head: number
  /** The last message that is not deleted, its text as last edited; null where there is none. */
  lastMessage: { seq: number; m: string; from: string; at: string; text: string } | null
  /** Messages after the mark. */
  unread: number
  /** The mark in force. */
  read: number
  /** Time of the last activity. */
  at: string
  muted: boolean
  /** The other one, in a direct conversation. */
  peer?: string
}

/** A conversation as it stands, for one of its members. */
export interface ConversationItem {
  kind: Kind
  title: string | null
  /** seq of its last event. */
  head: number
  memberCount: number
  /** The asker's. */
  role: Role
  posting: Posting
  /** 0: no slow mode. */
  slowModeSeconds: number
}

export interface MemberItem {
  user: string
  role: Role
  read?: number
  delivered?: number
}

export interface SearchHit {
  c: string
  seq: number
  m: string
  from: string
  at: string
  text: string
  /** The part that matched, HTML-escaped, the matches in `<mark>`. */
  highlight: string
}

/** A part of an upload: where and how its bytes go, and which they are, from the first up to, not with, the second. */
export interface MediaPart {
  url: string
  method: 'PUT'
  headers: Record<string, string>
  range: [from: number, to: number]
}

export type Presence = 'online' | 'away' | 'offline'

/** What the answer to each request adds to `re` and `ok`. */
export interface AnswerOf {
  create: { seq: number; duplicate: boolean }
  send: { seq: number; at: string; duplicate: boolean }
  edit: { seq: number }
  delete: { seq: number }
  react: { seq: number }
  invite: { seq: number }
  remove: { seq: number }
  role: { seq: number }
  join: { seq: number }
  leave: { seq: number }
  rename: { seq: number }
  settings: { seq: number }
  read: { seq: number }
  delivered: { seq: number }
  mute: object
  block: object
  privacy: { lastSeen: LastSeenFor }
  typing: object
  call: object
  conversation: ConversationItem
  /** `online` of the conversation's members, `of` how many; `approximate`: estimated. */
  presence: {
    states: Record<string, Presence>
    online?: number
    of?: number
    approximate?: true
    /** User to time, of those who are offline and let the asker know. */
    lastSeen?: Record<string, string>
  }
  history: { events: ConversationEvent[]; head: number; more: boolean }
  undelivered: { messages: UndeliveredMessage[]; cursor?: string }
  /** `behind`: what was `seen` is not all in it yet. */
  inbox: { items: InboxItem[]; cursor?: string; behind?: true }
  members: { members: MemberItem[]; cursor?: string }
  search: { hits: SearchHit[]; cursor?: string }
  media: {
    mediaId: string
    parts: MediaPart[]
    missing: number
    verified: boolean
    complete: string
  }
  sync: object
  ping: { at: string }
}

export interface HelloAnswer {
  user: string
  session: string
  epoch: number
  heartbeatMs: number
  limits: Record<string, number>
}

export type Answer<T extends RequestType = RequestType> =
  | ({ re: string; ok: true } & AnswerOf[T])
  | { re: string; ok: false; error: ErrorBody }

export type RefetchReason = 'too_far' | 'epoch' | 'unknown' | 'not_member'

export type Signal =
  | { t: 'signal'; type: 'typing'; c: string; user: string; on: boolean }
  | { t: 'signal'; type: 'presence'; user: string; state: Presence }
  | { t: 'signal'; type: 'receipt'; c: string; user: string; read: number; delivered: number }
  | {
      t: 'signal'
      type: 'call'
      c: string
      user: string
      /** Of who says it; none over HTTP. */
      session?: string
      call: string
      kind: CallKind
      data?: string
    }

export type Push =
  | ConversationEvent
  | Signal
  | { t: 'inbox'; c: string; unread: number; read: number; head: number }
  | { t: 'synced'; c: string; seq: number }
  | { t: 'refetch'; c: string; head: number; reason: RefetchReason }
  | { t: 'drain'; reconnectMs: number }

/** Close codes of the socket. */
export const CloseCode = {
  goingAway: 1001,
  policy: 1008,
  tooBig: 1009,
  unauthenticated: 4001,
  helloTimeout: 4002,
  replaced: 4003,
  tooSlow: 4008,
  tooManySockets: 4029,
} as const
