import type { TObject, TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import { checkHello, checkRequest } from '../../src/edge/requests/request-check.ts'
import { ConfabError, Hello, Requests } from '../../src/events/index.ts'

const refusal = (value: Record<string, unknown>) => {
  try {
    checkRequest({ id: '1', ...value })
    return undefined
  } catch (error) {
    if (!ConfabError.is(error)) throw error
    return error.toBody()
  }
}

/** Returns the required fields of a request, with valid values. */
const sampleOf = ({ properties, required = [] }: TObject): Record<string, unknown> => ({
  ...Object.fromEntries(required.map(name => [name, Value.Create(withDefault(name, properties[name]!))])),
})

/** Texts must not be empty, and patterns need a value that matches. */
const withDefault = (name: string, schema: TSchema): TSchema =>
  schema.type === 'string' ? { ...schema, default: name === 'sha256' ? hash : 'x' } : schema

const hash = 'a'.repeat(64)
const attachment = { mediaId: 'a', name: 'a.png', type: 'image/png', size: 1, sha256: hash }

t.test('errors name the field, and do not repeat the input', async t => {
  const cases: [request: Record<string, unknown>, field: string, message: RegExp][] = [
    [{ t: 'dance' }, '/t', /unknown request type/],
    [{}, '/t', /unknown request type/],
    [{ t: 'hello' }, '/t', /already sent hello/],
    [{ t: 'toString' }, '/t', /unknown request type/],
    [{ t: 'send', c: 'x', m: 'y' }, '/text', /text: expected/],
    [{ t: 'send', c: 'x', m: 'y', text: 7 }, '/text', /text: expected string/],
    [{ t: 'send', c: 'x', m: 'y', text: '' }, '/text', /must not be blank without attachments/],
    [
      { t: 'send', c: 'x', m: 'y', text: '', attachments: [] },
      '/text',
      /must not be blank without attachments/,
    ],
    [{ t: 'send', c: 'x', m: 'y', text: 'a\ud800' }, '/text', /surrogate/],
    [{ t: 'send', c: 'x y', m: 'y', text: 'a' }, '/c', /c: expected a string that matches/],
    [{ t: 'send', c: 'x'.repeat(65), m: 'y', text: 'a' }, '/c', /matches/],
    [{ t: 'send', c: '', m: 'y', text: 'a' }, '/c', /matches/],
    [
      { t: 'send', c: 'x', m: 'y', text: 'a', attachments: [{ ...attachment, size: -1 }] },
      '/attachments/0/size',
      /./,
    ],
    [
      { t: 'send', c: 'x', m: 'y', text: 'a', attachments: [{ ...attachment, name: '\udc00' }] },
      '/attachments/0/name',
      /./,
    ],
    [{ t: 'create', c: 'x', kind: 'party', members: [] }, '/kind', /one of direct, group, channel/],
    [{ t: 'create', c: 'x', kind: 'group', members: ['a', 'b c'] }, '/members/1', /matches/],
    [
      { t: 'create', c: 'x', kind: 'group', members: Array(1001).fill('a') },
      '/members',
      /less or equal to 1000/,
    ],
    [{ t: 'rename', c: 'x', title: '\ud83d' }, '/title', /surrogate/],
    [{ t: 'react', c: 'x', m: 'y', emoji: '', on: true }, '/emoji', /./],
    [{ t: 'history', c: 'x', before: 3, after: 2 }, '/before', /must not be combined/],
    [{ t: 'history', c: 'x', before: 3, around: 'm' }, '/around', /must not be combined/],
    [{ t: 'history', c: 'x', after: 0, around: 'm' }, '/around', /must not be combined/],
    [{ t: 'history', c: 'x', limit: 0 }, '/limit', /./],
    [{ t: 'history', c: 'x', limit: 201 }, '/limit', /./],
    [{ t: 'history', c: 'x', after: 1.5 }, '/after', /./],
    [{ t: 'history', c: 'x', after: 2 ** 53 }, '/after', /./],
    [{ t: 'sync', cursors: { 'not an id': 1 } }, '/cursors', /conversation ids/],
    [{ t: 'sync', cursors: { x: -1 } }, '/cursors/x', /./],
    [
      { t: 'sync', cursors: Object.fromEntries(Array.from({ length: 1001 }, (_, n) => [`c${n}`, 1])) },
      '/cursors',
      /at most 1000/,
    ],
    [{ t: 'search', q: 'tea\ud800' }, '/q', /surrogate/],
    [{ t: 'search', q: '' }, '/q', /./],
  ]
  for (const [request, field, message] of cases) {
    const error = refusal(request)
    t.match(
      error,
      { code: 'BAD_REQUEST', field, message, retryable: false },
      `${JSON.stringify(request).slice(0, 80)}`,
    )
    t.notMatch(error?.message, /x y|a\.png|b c/)
  }
})

t.test('text is measured in bytes of UTF-8', async t => {
  const send = { t: 'send', c: 'x', m: 'y' }
  t.equal(refusal({ ...send, text: 'a'.repeat(16_384) }), undefined)
  t.match(refusal({ ...send, text: 'a'.repeat(16_385) }), { code: 'TOO_LARGE', field: '/text' })
  t.equal(refusal({ ...send, text: '茶'.repeat(5461) }), undefined)
  t.match(refusal({ ...send, text: '茶'.repeat(5462) }), { code: 'TOO_LARGE', field: '/text' })
  t.match(refusal({ t: 'edit', c: 'x', m: 'y', text: 'a'.repeat(16_385) }), { code: 'TOO_LARGE' })
})

t.test('hello', async t => {
  t.match(checkHello({ id: '1', t: 'hello', resume: { tea: 0 } }), { resume: { tea: 0 } })
  t.throws(() => checkHello({ id: '1', t: 'hello', device: 'a b' }), {
    code: 'BAD_REQUEST',
    field: '/device',
  })
  t.throws(() => checkHello({ id: '1', t: 'hello', resume: { 'a b': 1 } }), {
    code: 'BAD_REQUEST',
    field: '/resume',
  })
})

t.test('unknown fields of every request are refused, and named', async t => {
  for (const [type, schema] of Object.entries({ ...Requests, hello: Hello })) {
    const check = type === 'hello' ? checkHello : checkRequest
    const refused = (value: Record<string, unknown>): unknown => {
      try {
        check(value)
        return undefined
      } catch (error) {
        return ConfabError.is(error) ? error.toBody() : error
      }
    }
    const valid = { ...sampleOf(schema), id: '1', t: type, ...(type === 'call' ? { data: 'x' } : {}) }
    t.equal(refused(valid), undefined, `${type}: the sample is valid`)
    for (const name of ['extra', 'Text', 'constructor', 'a/b'])
      t.match(
        refused({ ...valid, [name]: 1 }),
        { code: 'BAD_REQUEST', field: `/${name.replace('/', '~1')}`, message: /: unknown field\.$/ },
        `${type} with ${name}`,
      )
    const long = 'x'.repeat(50_000)
    t.match(refused({ ...valid, [long]: 1 }), { code: 'BAD_REQUEST', field: undefined, message: /^.{0,80}$/ })
  }
  const send = { t: 'send', c: 'x', m: 'y', text: '' }
  t.match(refusal({ ...send, attachments: [{ ...attachment, width: 3 }] }), {
    code: 'BAD_REQUEST',
    field: '/attachments/0/width',
  })
})
