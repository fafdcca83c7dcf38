import { readFileSync, writeFileSync } from 'node:fs'
import { type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t, { type Test } from 'tap'
import { type Epochs, oneEpoch } from '../../src/commands/index.ts'
import {
  Answers,
  ConversationEvents,
  Hello,
  HelloAnswer,
  Limits,
  Pushes,
  Requests,
  type RequestType,
  StreamPushes,
  UserEvents,
} from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import { type Examples, type Exchange, recordExamples } from './record-examples.ts'

const file = new URL('../../scripts/generate/protocol-examples.json', import.meta.url)

/** Fields whose values differ from run to run: ids, times, signatures. */
const shortened: Readonly<Record<string, (value: string) => string>> = {
  token: () => 'eyJ…',
  url: value => value.replace(/\?.*/, '?…'),
}
const varying = new Set(['at', 'since', 'active', 'expires', 'session', 'mediaId', 'complete'])

const mapFields = (value: unknown, change: (name: string, field: unknown) => unknown): unknown => {
  if (Array.isArray(value)) return value.map(item => mapFields(item, change))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, change(name, mapFields(field, change))]),
  )
}

/** An example as the page has it. */
const shorten = (value: unknown): unknown =>
  mapFields(value, (name, field) => (typeof field === 'string' ? (shortened[name]?.(field) ?? field) : field))

/** An example without what differs from run to run. */
const stable = (value: unknown): unknown =>
  mapFields(value, (name, field) => (varying.has(name) ? `a ${typeof field}` : field))

/** Whether a value matches a schema and has no field that the schema lacks. */
const matches = (schema: TSchema, value: unknown): boolean =>
  Value.Check(schema, value) &&
  JSON.stringify(Value.Clean(schema, structuredClone(value))) === JSON.stringify(value)

const requestSchemas: Record<string, TSchema> = { hello: Hello, ...Requests }
const answerSchema = (type: string): TSchema => {
  const { properties } = type === 'hello' ? HelloAnswer : Answers[type as RequestType]
  return Type.Object({ re: Type.String(), ok: Type.Literal(true), ...properties })
}

let epoch = 1
const listeners = new Set<() => void>()
const epochs: Epochs = {
  ...oneEpoch,
  streams: ['CONV_0'],
  epochOf: () => epoch,
  watch: listener => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
}
const raiseEpoch = (): void => {
  epoch = 2
  for (const listener of listeners) listener()
}
const confab = await startConfab(t, {
  edge: { epochs },
  limits: { drainMs: 2_000 },
  commands: { channelMembers: 3 },
})
const { exchanges, examples } = await recordExamples(confab, raiseEpoch)
const kept = shorten(examples) as Examples
if (process.env.RECORD_EXAMPLES === '1') writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`)
const documented = JSON.parse(readFileSync(file, 'utf8')) as Examples

t.test('each example request and its answer are what a real server receives and sends', async t => {
  t.same(new Set(Object.keys(documented.requests)), new Set(Object.keys(requestSchemas)))
  for (const [type, example] of Object.entries(documented.requests)) {
    t.ok(matches(requestSchemas[type]!, example.request), `${type}: the request matches its schema`)
    t.ok(matches(answerSchema(type), example.answer), `${type}: the answer matches its schema`)
    t.same(stable(kept.requests[type]), stable(example), type)
  }
})

t.test('each answer of the scenario matches its schema and has no other fields', async t => {
  for (const { type, answer } of exchanges as Exchange[])
    t.ok(matches(answerSchema(type), answer), `${type}: ${JSON.stringify(answer)}`)
})

const sameExamples = (
  t: Test,
  schemas: Readonly<Record<string, TSchema>>,
  from: 'events' | 'userEvents' | 'pushes' | 'streamPushes',
) => {
  t.same(new Set(Object.keys(documented[from])), new Set(Object.keys(schemas)))
  for (const [name, example] of Object.entries(documented[from])) {
    t.ok(matches(schemas[name]!, example), `${name}: the example matches its schema`)
    t.same(stable(kept[from][name]), stable(example), name)
  }
}

t.test('each example event is what a real server sends', async t =>
  sameExamples(t, ConversationEvents, 'events'),
)
t.test('each example event of a user is what the log has', async t =>
  sameExamples(t, UserEvents, 'userEvents'),
)
t.test('each example push is what a real server sends', async t => sameExamples(t, Pushes, 'pushes'))
t.test('each example push of an event stream is what a real server sends', async t =>
  sameExamples(t, StreamPushes, 'streamPushes'),
)

t.test('the answer to hello has all limits', async t => {
  t.match(documented.requests.hello!.answer.limits, Limits)
})
