import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { ConversationRequests, UserRequests } from './command-requests.ts'
import { Id, Seq } from './ids.ts'
import { Limits } from './limits.ts'
import { QueryRequests } from './query-requests.ts'
import { Cursors, request } from './request-schema.ts'
import { optional } from './schema.ts'

/** WebSocket subprotocols, by encoding. */
export const Subprotocol = { json: 'confab.v1.json', msgpack: 'confab.v1.msgpack' } as const

export const Hello = request('hello', 'Authenticates the connection and starts the session.', {
  token: optional(
    Type.String({ minLength: 1, maxLength: 8192 }),
    'JWT of the user. Absent: the server takes the token of the `Authorization` header.',
  ),
  device: optional(
    Id,
    'Name of the device, the same after a restart. A later session of the same user and device closes the earlier one with 4003.',
  ),
  epoch: optional(
    Seq,
    'Epoch of the last `hello` answer or `epoch` push that the client received before its cursors. Default 1.',
  ),
  resume: optional(
    Cursors,
    'Sequence number of the last event that the client applied, by conversation. The server sends the events after it.',
    { 'x-maxEntries': Limits.cursors },
  ),
})

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
