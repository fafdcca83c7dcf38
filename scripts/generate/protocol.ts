import { readFileSync } from 'node:fs'
import { type TSchema, Type } from '@sinclair/typebox'
import { defaultBusLimits } from '../../src/commands/bus/bus-limits.ts'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import {
  Answers,
  CommonErrors,
  ConversationEvents,
  described,
  ErrorRegistry,
  Hello,
  HelloAnswer,
  LimitDescriptions,
  Limits,
  Pushes,
  type RequestError,
  RequestErrors,
  Requests,
  StreamPushes,
  Subprotocol,
  UserEvents,
} from '../../src/events/index.ts'
import type { Examples } from '../../test/docs/record-examples.ts'
import { grouped, json, paragraph, table } from './markdown.ts'
import {
  type AnyRequest,
  concept,
  conceptsOf,
  groups,
  httpRoutes,
  notes,
  pushNotes,
  refetchReasons,
  see,
} from './protocol-notes.ts'
import { fieldTable } from './schema-tables.ts'

export const path = 'docs/protocol.md'

/** Recorded from a server: `RECORD_EXAMPLES=1 npx tap test/docs/protocol-examples.test.ts` records them again. */
const examples = JSON.parse(
  readFileSync(new URL('./protocol-examples.json', import.meta.url), 'utf8'),
) as Examples

const descriptionOf = (schema: TSchema): string => schema.description ?? ''

const errorTable = (errors: readonly RequestError[]): string =>
  table(
    ['code', 'field', 'when'],
    errors.map(({ code, field, when }) => [
      `[\`${code}\`](errors.md)`,
      field === undefined ? '' : `\`${field}\``,
      when,
    ]),
  )

const anyRequest = '[any request](#errors-of-any-request)'

const errorsOf = (type: AnyRequest): string[] =>
  RequestErrors[type].length === 0
    ? [paragraph(`Errors: those of ${anyRequest}.`)]
    : [paragraph(`Errors, besides those of ${anyRequest}:`), errorTable(RequestErrors[type])]

const requestSection = (type: AnyRequest): string => {
  const schema = type === 'hello' ? Hello : Requests[type]
  const answer = type === 'hello' ? HelloAnswer : Answers[type]
  const example = examples.requests[type]
  const fields = fieldTable(schema, { omitted: ['id', 't'], hasDefaults: true })
  const answerFields = fieldTable(answer)
  return [
    `#### ${type}`,
    paragraph([descriptionOf(schema), ...(notes[type] ?? []), see(conceptsOf[type])].join(' ')),
    fields ?? 'The request has no fields besides `id` and `t`.',
    answerFields === undefined
      ? 'The answer has no fields besides `re` and `ok`.'
      : `The answer adds:\n\n${answerFields}`,
    json(example?.request, example?.answer),
    ...errorsOf(type),
  ].join('\n\n')
}

const eventFields = ['t', 'c', 'seq', 'type', 'from', 'at']

/** The fields that all events have, from the schema of one of them. */
const commonFields = (schema: TSchema, omitted: readonly string[]): string => {
  const type = described(Type.String(), 'Type of the event. The title of its section.')
  const properties = { ...schema.properties, type } as Record<string, TSchema>
  if (properties.t !== undefined) properties.t = described(properties.t, 'Marks the frame as an event.')
  return fieldTable(Type.Object(properties), { omitted }) ?? ''
}

const eventSection = (type: string, schema: TSchema): string =>
  [
    `### ${type}`,
    paragraph(descriptionOf(schema)),
    fieldTable(schema, { omitted: eventFields }) ?? '',
    json(examples.events[type]),
  ].join('\n\n')

const pushSection = (
  name: string,
  schema: TSchema,
  heading: string,
  example: unknown,
  note: string,
): string =>
  [
    `### ${heading}: ${name}`,
    paragraph(`${descriptionOf(schema)} ${note}`.trim()),
    fieldTable(schema, { omitted: ['t', ...(schema.properties.t.const === 'signal' ? ['type'] : [])] }) ?? '',
    json(example),
  ].join('\n\n')

const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')

const link = (name: string, heading = name): string => `[\`${name}\`](#${anchor(heading)})`

const contents = (): string =>
  [
    table(
      ['request', 'purpose'],
      groups.flatMap(([, types]) =>
        types.map(type => [link(type), descriptionOf(type === 'hello' ? Hello : Requests[type])]),
      ),
    ),
    table(
      ['event', 'cause'],
      Object.entries(ConversationEvents).map(([type, schema]) => [link(type), descriptionOf(schema)]),
    ),
    table(
      ['push', 'cause'],
      Object.entries(Pushes).map(([name, schema]) => [link(name, `Push: ${name}`), descriptionOf(schema)]),
    ),
  ].join('\n\n')

const MiB = 1024 ** 2
const { socketRequests, userRequests, conversationRequests, callSignals, burstMs } = defaultEdgeLimits
const { socketBytes, userBytes, conversationBytes } = defaultEdgeLimits
const bytes = (value: number): string => `${value / MiB} MiB`

const rates = (): string =>
  table(
    ['per', 'requests per second', 'bytes per second', 'counted'],
    [
      ['socket', grouped(socketRequests), bytes(socketBytes), 'all frames'],
      [
        'user',
        grouped(userRequests),
        bytes(userBytes),
        'frames of all sockets of the user, and HTTP requests',
      ],
      ['user', grouped(callSignals), '', '`call`'],
      [
        'conversation',
        grouped(conversationRequests),
        bytes(conversationBytes),
        'commands that append to its log, `typing` and `call`; not reads and markers',
      ],
    ],
  )

/** docs/protocol.md: every request, event and push, from the schemas that the server checks with. */
export const generate = (): string =>
  `${[
    '# Client protocol, version 1',
    '<!-- Generated from the schemas in src/events by scripts/generate/protocol.ts. Do not edit this page. -->',
    paragraph(
      'This page is the reference of the protocol between clients and confab. Names and shapes are a contract: ' +
        'later versions may add fields, requests, events and pushes, and change the meaning of none. ' +
        'The [concepts](README.md#concepts) explain how the parts work together. ' +
        'A server publishes the same reference for tools: `/v1/asyncapi.json` and `/v1/openapi.json`.',
    ),
    contents(),

    '## Conventions',
    '### Frames',
    paragraph(
      'A client opens a WebSocket at `/v1/ws`. The subprotocol determines the encoding of frames. ' +
        'See [Connections](concepts/connections.md). HTTP and [gRPC](#grpc) carry the same requests and pushes.',
    ),
    table(
      ['subprotocol', 'frames'],
      [
        [`\`${Subprotocol.json}\`, or none`, 'text frames, one JSON object each'],
        [`\`${Subprotocol.msgpack}\``, 'binary frames, the same object as MessagePack'],
      ],
    ),
    paragraph(
      'A request has an `id`, a string of 1 to 64 characters that the client chooses, and a type `t`. ' +
        'The tables omit these two fields. The server answers each request exactly once:',
    ),
    json(
      { re: '1', ok: true, seq: 7 },
      {
        re: '2',
        ok: false,
        error: {
          code: 'NOT_MEMBER',
          message: ErrorRegistry.NOT_MEMBER.message,
          retryable: false,
        },
      },
    ),
    paragraph(
      '`re` is the `id` of the request; `null` when the server could not read it, or did not decode a frame beyond a rate. [Errors](errors.md) describes `error`. ' +
        'A client may send requests without waiting for answers. Answers may arrive in another order than requests. ' +
        'Commands of one session on one conversation take effect in the order of their requests, and so does their order in the log. ' +
        'Every other frame of the server is an [event](#events) or a [push](#pushes), and has a type `t`.',
    ),
    '### Types',
    table(
      ['type', 'form'],
      [
        ['id', 'string of 1 to 64 characters of `A-Z a-z 0-9 _ -`'],
        ['time', 'string: ISO 8601 in UTC with milliseconds, such as `2026-11-24T02:30:43.123Z`'],
        ['character', 'UTF-16 code unit, as JavaScript’s `length` counts. Most emoji have two or more.'],
        ['bytes of a text', 'bytes of its UTF-8 form'],
        ['event', 'object of one of the types under [Events](#events)'],
      ],
    ),
    paragraph(
      'The server ignores fields that it does not know. Strings must be well-formed Unicode. ' +
        '`maxLength` in the published JSON Schemas counts code points: ' +
        'a value that such a validator accepts may still be `BAD_REQUEST` or `TOO_LARGE`.',
    ),
    '### Errors of any request',
    errorTable(CommonErrors),

    '## Requests',
    ...groups.flatMap(([title, types]) => [`### ${title}`, ...types.map(requestSection)]),

    '## Events',
    paragraph(
      'An event is a change in a conversation. The log stores it; clients receive it live, on resume and in `history`, ' +
        'always as the same object. `seq` orders the events of a conversation, without gaps. ' +
        `A client ignores events of unknown type but counts their \`seq\`. ${see([concept.resume])}`,
    ),
    paragraph('All events have these fields:'),
    commonFields(ConversationEvents['message.deleted'], ['m']),
    ...Object.entries(ConversationEvents).map(([type, schema]) => eventSection(type, schema)),

    '## Pushes',
    paragraph(
      'No log stores a push. A push with `"t": "signal"` is a signal: the server may merge signals, ' +
        `and drops them when the client reads too slowly. ${see([concept.limits])}`,
    ),
    ...Object.entries(Pushes).flatMap(([name, schema]) => [
      pushSection(name, schema, 'Push', examples.pushes[name], pushNotes[name as keyof typeof Pushes]),
      ...(name === 'refetch' ? [refetchReasons] : []),
    ]),

    '## HTTP',
    httpRoutes,
    paragraph(
      'Requests carry the token as `Authorization: Bearer …`. The answer to a query by `GET` has the fields of the answer, ' +
        'without `re` and `ok`; answers of media routes have `ok`. The server answers `HEAD` like `GET`, without the body. ' +
        'See [HTTP](concepts/http.md) and [errors in answers](errors.md#in-answers).',
    ),
    '### Event stream',
    paragraph(
      '`GET /v1/stream` is a response of type `text/event-stream` that does not end. ' +
        'The `data` of each message is one event or push, as on the socket. Two more pushes occur on event streams only. ' +
        see([concept.streams]),
    ),
    ...Object.entries(StreamPushes).map(([name, schema]) =>
      pushSection(
        name,
        schema,
        'Event stream',
        examples.streamPushes[name],
        name === 'closed' ? 'See [close codes](errors.md#when-the-socket-closes).' : '',
      ),
    ),
    '### gRPC',
    paragraph(
      '[`confab.proto`](../src/edge/transports/grpc/confab.proto) defines the service `confab.v1.Confab`. ' +
        'A call of its method `Session` is a session, as a socket is. See [gRPC](concepts/grpc.md).',
    ),

    '## Limits',
    paragraph(
      'The answer to `hello` has these limits by name, and `inFlight`, the number of requests of a socket that may be ' +
        `unanswered (${grouped(defaultEdgeLimits.inFlight)}, unless configured). ${see([concept.limits])}`,
    ),
    table(
      ['limit', 'value', 'bounds'],
      Object.entries(Limits).map(([name, value]) => [
        `\`${name}\``,
        grouped(value),
        LimitDescriptions[name as keyof typeof Limits],
      ]),
    ),
    '### Rates',
    paragraph(
      'Each node limits these rates. Operators configure them with `edge.limits.*`. ' +
        `A burst may use the rate of ${burstMs / 1000} s at once. Beyond it the server answers \`RATE_LIMITED\` with ` +
        '`retryAfterMs`; over HTTP, status 429 with `Retry-After`.',
    ),
    rates(),

    '## Events of a user',
    paragraph(
      'The log of a user holds the changes of the user’s own state. Clients never receive these events; ' +
        '`confab replay --users` prints them. ' +
        `A channel of more than ${grouped(defaultBusLimits.channelMembers)} members has followers, ` +
        'whose membership is in their own logs only. ' +
        see([concept.conversations]),
    ),
    paragraph('All events of a user have these fields:'),
    commonFields(UserEvents['conversation.muted'], ['c']),
    ...Object.entries(UserEvents).map(([type, schema]) =>
      [
        `### ${type}`,
        paragraph(descriptionOf(schema)),
        fieldTable(schema, { omitted: ['u', 'seq', 'type', 'at'] }) ?? '',
        json(examples.userEvents[type]),
      ].join('\n\n'),
    ),
  ].join('\n\n')}\n`
