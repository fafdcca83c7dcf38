import { type TSchema, Type } from '@sinclair/typebox'
import {
  Answers,
  ConversationEvents,
  described,
  ErrorRegistry,
  Id,
  optional,
  Requests,
  type RequestType,
  Time,
} from '../../../events/index.ts'

type Json = Record<string, unknown>

/** Unions of strings as `enum`, and `x-maxEntries` as the keyword that JSON Schema has for it. */
const tidied = (_key: string, value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const { 'x-maxEntries': maxProperties, ...schema } = value as Json
  if (maxProperties !== undefined) schema.maxProperties = maxProperties
  const { anyOf, ...rest } = schema
  const options = Array.isArray(anyOf) ? (anyOf as { const?: unknown }[]).map(option => option.const) : []
  return options.length > 0 && options.every(option => typeof option === 'string')
    ? { ...rest, type: 'string', enum: options }
    : schema
}

/** A TypeBox schema as plain JSON Schema. */
export const plain = (schema: TSchema): Json => JSON.parse(JSON.stringify(schema, tidied)) as Json

export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

/** The difference between `maxLength` here and in JSON Schema, for the documents. */
export const unitOfLengths =
  'The server measures strings in UTF-16 code units, JSON Schema in code points. `x-maxBytes` is a limit in bytes of UTF-8.'

export const ErrorSchema = Type.Object({
  code: described(
    Type.Union(Object.keys(ErrorRegistry).map(code => Type.Literal(code))),
    'Code of the error. docs/errors.md explains each code.',
  ),
  message: described(Type.String(), 'Sentence for developers. It may change: do not parse it.'),
  retryable: described(Type.Boolean(), 'Whether the same request may succeed later.'),
  field: optional(Type.String(), 'JSON pointer of the field at fault.'),
  c: optional(Id, 'With `ALREADY_EXISTS`: the direct conversation that the two users have already.'),
  until: optional(Time, 'End of the ban, with `BANNED`, if it has one.'),
  retryAfterMs: optional(Type.Integer({ minimum: 0 }), 'Time to wait before a retry, in milliseconds.'),
})

/** Request schemas by name: `sendRequest`, `historyRequest` … */
export const requestSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(Requests).map(([type, schema]) => [`${type}Request`, plain(schema)]))

/** Schemas of answers, without `re` and `ok`, by name: `sendAnswer`, `historyAnswer` … */
export const answerSchemas = (): Record<string, object> => {
  const schemas = Object.fromEntries(
    Object.entries(Answers).map(([type, schema]) => [`${type}Answer`, plain(schema)]),
  )
  const { events } = schemas.historyAnswer!.properties as { events: Json }
  events.items = { oneOf: Object.keys(eventSchemas()).map(ref) }
  return schemas
}

/** Event schemas by type: `message.posted` … */
export const eventSchemas = (): Record<string, object> =>
  Object.fromEntries(Object.entries(ConversationEvents).map(([type, schema]) => [type, plain(schema)]))

/** Names of the answers that have fields besides `re` and `ok`. */
const answersWithFields = (Object.keys(Answers) as RequestType[]).filter(
  type => Object.keys(Answers[type].properties).length > 0,
)

/** A successful answer as sockets and `POST /v1/commands` have it. */
export const okAnswer = {
  type: 'object',
  description: 'A successful answer. The request type determines the other fields.',
  properties: {
    re: { type: 'string', description: 'Id of the request.' },
    ok: { const: true },
  },
  required: ['re', 'ok'],
  anyOf: [{ type: 'object' }, ...answersWithFields.map(type => ref(`${type}Answer`))],
}

/** An answer with an error. `re` is absent from HTTP answers other than those of `POST /v1/commands`. */
export const errorAnswer = {
  type: 'object',
  description: 'An answer with an error.',
  properties: {
    re: {
      type: ['string', 'null'],
      description: 'Id of the request; null when the server could not read it.',
    },
    ok: { const: false },
    error: ref('Error'),
  },
  required: ['ok', 'error'],
}
