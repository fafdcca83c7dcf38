import { type TSchema, Type } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import {
  ConfabError,
  type ConversationRequest,
  ConversationRequests,
  type ErrorBody,
  ErrorRegistry,
  type UserRequest,
  UserRequests,
} from '../../../events/index.ts'

/** `cmd.to.<member>`: commands for one process that decides them. */
export const commandSubject = (member: string): string => `cmd.to.${member}`

/** Where processes that decide commands tell that they are there, and where they are asked to. */
export const CommandSubject = { members: 'cmd.members', who: 'cmd.who' } as const

/** What a process that decides commands tells of itself: that it is there; that it takes no new ones and answers those that it has; that it answers none any more. */
export interface Announcement {
  readonly member: string
  readonly state: 'here' | 'leaving' | 'gone'
  /** Its own clock, which nobody else understands. */
  readonly at: number
}

/** How often they tell it, ms. */
export const heartbeatMs = 500
/**
 * Beats that an edge may miss in a row before it has a member's commands decided by others. Beats are counted, not time: a process that stood still itself is no
 * judge of others.
 */
export const missedBeats = 10
/** How long a member may decide after it sent the last beat that it heard itself, ms: less than any edge needs to give it up. */
export const leaseMs = 4_000

/** A command on its way from an edge to where it is decided. */
export interface WireCommand {
  /** The same at every try of one call, so that a second one joins the first. */
  readonly call: string
  /** Command id. */
  readonly id: string
  readonly from: string
  readonly at: string
  readonly traceparent?: string
  /** How long its edge still waits for it, ms. */
  readonly ttl: number
  readonly request: ConversationRequest | UserRequest
}

const text = (maxLength: number): TSchema => Type.String({ minLength: 1, maxLength })

const envelope = TypeCompiler.Compile(
  Type.Object({
    call: text(128),
    id: text(256),
    from: text(64),
    at: text(40),
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
    member: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    state: Type.Union([Type.Literal('here'), Type.Literal('leaving'), Type.Literal('gone')]),
    at: Type.Number(),
  }),
)

const parse = (bytes: Uint8Array): unknown =>
  JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))

export const encodeCommand = (command: WireCommand): Uint8Array => Buffer.from(JSON.stringify(command))

/** Throws ConfabError: BAD_REQUEST for what is no command; UNAVAILABLE for one that this version does not know, as while another is rolled out. */
export const decodeCommand = (bytes: Uint8Array): WireCommand => {
  let command: unknown
  try {
    command = parse(bytes)
  } catch {
    throw new ConfabError('BAD_REQUEST', 'a command that is no JSON')
  }
  if (!envelope.Check(command)) throw new ConfabError('BAD_REQUEST', 'a command without what every one has')
  const { request } = command as unknown as WireCommand
  if (checks.get(request.t)?.Check(request) !== true)
    throw new ConfabError('UNAVAILABLE', 'Such a command is not known where it would be decided; try again.')
  return command as unknown as WireCommand
}

/** Undefined for what is none. */
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

/** The answer to a command. Throws ConfabError: what it was refused with. */
export const decodeAnswer = (bytes: Uint8Array): object => {
  const { ok, error } = parse(bytes) as { ok?: object; error?: ErrorBody }
  if (ok !== undefined) return ok
  const { code, message, field, retryAfterMs } = error ?? { code: 'INTERNAL' as const, message: undefined }
  throw new ConfabError(code in ErrorRegistry ? code : 'INTERNAL', message, {
    ...(field === undefined ? {} : { field }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
