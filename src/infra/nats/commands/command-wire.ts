import { type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { markLogged } from '../../../base/logged-errors.ts'
import {
  type AggregateRef,
  ConfabError,
  type ConversationRequest,
  ConversationRequests,
  type ErrorBody,
  ErrorRegistry,
  errorDetails,
  Id,
  subjectToken,
  type UserRequest,
  UserRequests,
} from '../../../events/index.ts'

/** Returns the subject of the commands for one commands node: `cmd.to.<node>`. Throws InvalidNameError. */
export const commandSubject = (node: string): string => `cmd.to.${subjectToken(node)}`

/** The subjects of the commands for all commands nodes. */
export const commandPattern = 'cmd.to.*'

/** `announcements`: heartbeats of the commands nodes. `request`: asks all nodes to announce themselves now. */
export const CommandSubject = { announcements: 'cmd.members', request: 'cmd.who' } as const

/** The positions of mirrors, from commands nodes of their regions to those of the homes. */
export const mirroredSubject = 'cmd.mirrored'

/**
 * The heartbeat of a commands node. `here`: it accepts commands. `leaving`: it accepts no more, and answers those it
 * has. `gone`: it answers none.
 */
export interface Announcement {
  /** The name under which the node accepts commands. */
  readonly member: string
  readonly state: 'here' | 'leaving' | 'gone'
  /** When the node sent it, by the node's own monotonic clock. */
  readonly at: number
  /** The region of the node. Absent in a system of one region. */
  readonly region?: string
  /**
   * The streams whose aggregates the node decides, with their epochs. Absent in a system of one region, where a node
   * decides all. Empty: the home of every stream is in another region.
   */
  readonly serves?: Readonly<Record<string, number>>
}

/** The streams that a commands node decides in a system of several regions. */
export interface ServedStreams {
  readonly region: string
  /** Epochs of the streams that this node decides now, by name of the stream. */
  epochs(): ReadonlyMap<string, number>
  /** The epoch of one of them; undefined for any other stream. */
  epochOf(stream: string): number | undefined
  /**
   * Resolves with whether the node may answer a command of a stream: it still decides for the stream, and the events
   * that it knows count.
   */
  confirm(stream: string): Promise<boolean>
  /** The stream that holds an aggregate. */
  streamOf(aggregate: AggregateRef): string
  /** Calls `listener` when `epochs` changes. Returns a function that removes the listener. */
  watch(listener: () => void): () => void
}

/** Interval between heartbeats, ms. */
export const heartbeatMs = 500
/**
 * Consecutive heartbeats that an edge node may miss before it sends the node's commands to others. It counts
 * heartbeats, not time: an edge node that did not run itself cannot judge other nodes.
 */
export const missedHeartbeats = 10
/**
 * Time for which a node may decide commands after it sent the last heartbeat that it also received, ms. Shorter than
 * any edge node takes to remove the node.
 */
export const leaseMs = 4_000

/** A command that an edge node sends to a commands node. */
export interface WireCommand {
  /** The same in every attempt of a call, so that a later attempt joins the first. */
  readonly call: string
  /** Command id. */
  readonly id: string
  readonly from: string
  readonly at: string
  readonly isImported?: true
  readonly traceparent?: string
  /** Time for which the edge node still waits for the answer, ms. */
  readonly ttl: number
  readonly request: ConversationRequest | UserRequest
}

const text = (maxLength: number): TSchema => Type.String({ minLength: 1, maxLength })

const envelope = TypeCompiler.Compile(
  Type.Object({
    call: text(128),
    id: text(256),
    from: Id,
    at: text(40),
    isImported: Type.Optional(Type.Literal(true)),
    traceparent: Type.Optional(text(64)),
    ttl: Type.Number({ minimum: 0 }),
    request: Type.Object({ t: Type.String() }),
  }),
)

const checks = new Map<string, TypeCheck<TSchema>>(
  Object.entries({ ...ConversationRequests, ...UserRequests }).map(([type, schema]) => [
    type,
    TypeCompiler.Compile(schema),
  ]),
)

const announcement = TypeCompiler.Compile(
  Type.Object({
    member: Id,
    state: Type.Union([Type.Literal('here'), Type.Literal('leaving'), Type.Literal('gone')]),
    at: Type.Number(),
    region: Type.Optional(Id),
    serves: Type.Optional(Type.Record(Type.String(), Type.Integer({ minimum: 1 }))),
  }),
)

const parse = (bytes: Uint8Array): unknown =>
  JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))

export const encodeCommand = (command: WireCommand): Uint8Array => Buffer.from(JSON.stringify(command))

/**
 * Decodes a command. Throws ConfabError: BAD_REQUEST for an invalid message, UNAVAILABLE for a request that this
 * version does not know, as during a rolling upgrade.
 */
export const decodeCommand = (bytes: Uint8Array): WireCommand => {
  let command: unknown
  try {
    command = parse(bytes)
  } catch {
    throw new ConfabError('BAD_REQUEST', 'The command is not JSON.')
  }
  if (!envelope.Check(command)) throw new ConfabError('BAD_REQUEST', 'The command lacks a required field.')
  const { request } = command as unknown as WireCommand
  if (checks.get(request.t)?.Check(request) !== true)
    throw new ConfabError('UNAVAILABLE', 'The commands node does not know this command; try again.')
  return command as unknown as WireCommand
}

/** Undefined for an invalid announcement. */
export const decodeAnnouncement = (bytes: Uint8Array): Announcement | undefined => {
  try {
    const value = parse(bytes)
    return announcement.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

export const encodeAnnouncement = (announcement: Announcement): string => JSON.stringify(announcement)

export const encodeAnswer = (answer: object): string => `{"ok":${JSON.stringify(answer)}}`

export const encodeFailure = (error: ErrorBody): string => `{"error":${JSON.stringify(error)}}`

/** Returns the answer to a command. Throws the ConfabError that the commands node answered with. */
export const decodeAnswer = (bytes: Uint8Array): object => {
  const { ok, error } = parse(bytes) as { ok?: object; error?: ErrorBody }
  if (ok !== undefined) return ok
  const { code, message } = error ?? { code: 'INTERNAL' as const, message: undefined }
  const refusal = new ConfabError(
    code in ErrorRegistry ? code : 'INTERNAL',
    message,
    errorDetails(error ?? {}),
  )
  // The commands node has logged the cause of an INTERNAL, which does not leave the node.
  if (code === 'INTERNAL' && error !== undefined) markLogged(refusal)
  throw refusal
}
