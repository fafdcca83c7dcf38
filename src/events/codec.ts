import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ConversationEvent, ConversationEvents } from './conversation-events.ts'
import type { StoredEvent } from './stored-event.ts'
import { type UserEvent, UserEvents } from './user-events.ts'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const checks = new Map<string, TypeCheck<TSchema>>(
  Object.entries({ ...ConversationEvents, ...UserEvents }).map(([type, schema]) => [
    type,
    TypeCompiler.Compile(schema),
  ]),
)

/** An event's body as the log stores it: UTF-8 JSON, fields in the order that the decider gave them. (Buffer.from costs a tenth of TextEncoder for a body.) */
export const encodeBody = (event: ConversationEvent | UserEvent): Uint8Array =>
  Buffer.from(JSON.stringify(event), 'utf8')

/** A stored event's body is not what its type says: poison for whoever reads it. */
export class MalformedEventError extends Error {
  static is = (error: unknown): error is MalformedEventError => error instanceof MalformedEventError

  constructor(stored: StoredEvent, why: string) {
    super(
      `${stored.stream} ${stored.streamSeq} (${stored.envelope.type} v${stored.envelope.version}): ${why}`,
    )
    this.name = 'MalformedEventError'
  }
}

/** The event of a stored one, at the current version. Throws MalformedEventError. */
export const decodeBody = (stored: StoredEvent): ConversationEvent | UserEvent => {
  const { type, version } = stored.envelope
  const check = checks.get(type)
  if (check === undefined) throw new MalformedEventError(stored, 'unknown type')
  let body: unknown
  try {
    body = JSON.parse(decoder.decode(stored.data))
    if (version !== currentVersion(type)) body = upcast(type, version, body as Record<string, unknown>)
  } catch (error) {
    // The parser's own message quotes what it met: reasons are logged, texts never are.
    const why =
      error instanceof SyntaxError ? 'not JSON' : error instanceof Error ? error.message : String(error)
    throw new MalformedEventError(stored, why)
  }
  if (!check.Check(body)) {
    const first = check.Errors(body).First()
    throw new MalformedEventError(
      stored,
      `${first?.path ?? ''}: ${first?.message ?? 'does not match its schema'}`,
    )
  }
  return body as ConversationEvent | UserEvent
}

export const decodeConversationEvent = (stored: StoredEvent): ConversationEvent => {
  if (stored.aggregate.family !== 'conv') throw new MalformedEventError(stored, 'not a conversation')
  return decodeBody(stored) as ConversationEvent
}

export const decodeUserEvent = (stored: StoredEvent): UserEvent => {
  if (stored.aggregate.family !== 'user') throw new MalformedEventError(stored, 'not a user')
  return decodeBody(stored) as UserEvent
}

/** The bytes that clients get: the stored ones, unless an older version has to be brought up to date. */
export const wireBytes = (stored: StoredEvent): Uint8Array =>
  stored.envelope.version === currentVersion(stored.envelope.type)
    ? stored.data
    : encodeBody(decodeBody(stored))

/** A body as an older version had it, or as the current one has it. */
export type Body = Record<string, unknown>

/** Turns a body of version n into one of version n + 1. Pure. */
export type Upcaster = (body: Body) => Body

/** By event type: the first entry takes version 1 to 2, the next 2 to 3, and so on. The current version is one more than their number. */
export type Upcasters = { readonly [type: string]: readonly Upcaster[] | undefined }

/** No schema has changed yet. */
export const upcasters: Upcasters = {}

/** The version that is written today. */
export const currentVersion = (type: string, table: Upcasters = upcasters): number =>
  (table[type]?.length ?? 0) + 1

/**
 * Brings a body to the current version of its type. The log is never rewritten: this runs at read.
 * Throws a RangeError for a version from the future: an older node must not guess at what a newer one wrote.
 */
export const upcast = (type: string, version: number, body: Body, table: Upcasters = upcasters): Body => {
  const steps = table[type] ?? []
  if (version > steps.length + 1)
    throw new RangeError(`${type} version ${version} is newer than this build knows (${steps.length + 1})`)
  let current = body
  for (const step of steps.slice(version - 1)) current = step(current)
  return current
}
