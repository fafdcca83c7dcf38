import { type Static, type TProperties, Type } from '@sinclair/typebox'
import type { ConversationEvent } from './conversation-events.ts'
import { Id, Mark, OneOf, Seq, Time } from './ids.ts'
import { CallData, CallKind } from './query-requests.ts'
import { described, optional } from './schema.ts'

export const Presence = OneOf('online', 'away', 'offline')
export type Presence = Static<typeof Presence>

export const RefetchReason = OneOf('too_far', 'epoch', 'unknown', 'not_member')
export type RefetchReason = Static<typeof RefetchReason>

const signal = <const T extends string, P extends TProperties>(type: T, description: string, fields: P) =>
  Type.Object({ t: Type.Literal('signal'), type: Type.Literal(type), ...fields }, { description })

const push = <const T extends string, P extends TProperties>(t: T, description: string, fields: P) =>
  Type.Object({ t: Type.Literal(t), ...fields }, { description })

const c = described(Id, 'Conversation id.')

/** Pushes that no log stores. The server may merge or drop them. */
export const Signals = {
  typing: signal('typing', 'A member types, or has stopped.', {
    c,
    user: described(Id, 'The member.'),
    on: described(Type.Boolean(), '`true`: the member types. `false`: the member has stopped.'),
  }),
  presence: signal('presence', 'The presence of a watched user has changed.', {
    user: described(Id, 'The watched user.'),
    state: described(Presence, 'The current presence.'),
  }),
  receipt: signal('receipt', 'A member’s read or delivered marker has moved.', {
    c,
    user: described(Id, 'The member.'),
    read: described(Mark, 'The read marker that the member has set; 0: none.'),
    delivered: described(Mark, 'The delivered marker, at least `read`; 0: none.'),
  }),
  call: signal('call', 'Another session sends a WebRTC signal to this one.', {
    c,
    user: described(Id, 'User that sent the signal.'),
    session: optional(Id, 'Session that sent the signal. Absent when it was sent over HTTP.'),
    call: described(Id, 'Id of the call.'),
    kind: described(CallKind, 'Kind of the signal.'),
    data: optional(CallData, 'Content of the signal, as the sender wrote it.'),
  }),
} as const

/** The pushes that are neither events nor answers, by name. */
export const Pushes = {
  ...Signals,
  inbox: push('inbox', 'The user’s read marker has moved on another device.', {
    c,
    unread: described(Mark, 'Number of messages after the read marker that are not deleted.'),
    read: described(Mark, 'The read marker in effect.'),
    head: described(Seq, 'Sequence number of the last event of the conversation.'),
  }),
  invitation: push(
    'invitation',
    'A conversation invites the user, or an invitation has ended without a joining.',
    {
      c,
      on: described(Type.Boolean(), '`true`: the invitation is open. `false`: it has ended.'),
      by: optional(Id, 'With `on`: user that invited.'),
      at: optional(Time, 'With `on`: time of the invitation.'),
    },
  ),
  synced: push('synced', 'The session has received all missed events of a conversation.', {
    c,
    seq: described(Mark, 'Sequence number of the last event that was sent.'),
  }),
  refetch: push('refetch', 'The client’s copy of a conversation cannot be continued.', {
    c,
    head: described(Mark, 'Sequence number of the last event of the conversation; 0 with `not_member`.'),
    reason: described(RefetchReason, 'Why missed events cannot be sent.'),
  }),
  epoch: push('epoch', 'The epoch has risen, and no event was lost that this node has sent.', {
    epoch: described(Seq, 'The current epoch, for the next `hello`.'),
  }),
  drain: push('drain', 'The node shuts down.', {
    reconnectMs: described(
      Mark,
      'Time within which to reconnect, in milliseconds. A client chooses a random part of it.',
    ),
  }),
} as const

/** Pushes of event streams only. */
export const StreamPushes = {
  hello: push('hello', 'The first message of an event stream.', {
    user: described(Id, 'User id, from the token.'),
    session: described(Id, 'Session id.'),
    epoch: described(Seq, 'Current epoch: how often homes of the log have changed between regions.'),
    heartbeatMs: described(Type.Integer({ minimum: 1 }), 'Time between two heartbeats, in milliseconds.'),
    limits: described(Type.Record(Type.String(), Type.Integer()), 'Limits of the protocol, by name.'),
  }),
  closed: push('closed', 'The server ends the event stream.', {
    code: described(Type.Integer(), 'Close code, as for a socket.'),
    reason: described(Type.String(), 'The reason, as text for logs.'),
  }),
} as const

export type Signal = { [K in keyof typeof Signals]: Static<(typeof Signals)[K]> }[keyof typeof Signals]

export type Push =
  | ConversationEvent
  | { [K in keyof typeof Pushes]: Static<(typeof Pushes)[K]> }[keyof typeof Pushes]
