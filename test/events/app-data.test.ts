import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import {
  type AppData,
  canonicalJson,
  dataChangeOf,
  dataFault,
  isUnchanged,
  Limits,
  newData,
} from '../../src/events/index.ts'
import { arbitraryData, badData, dataOfBytes, nested } from './arbitrary-data.ts'

t.test('any JSON object within the bounds is legal', async t => {
  fc.assert(fc.property(arbitraryData, data => dataFault(data) === undefined))
  for (const data of [
    {},
    nested(Limits.dataDepth),
    dataOfBytes(Limits.dataBytes),
    { a: 'é'.repeat(2044) },
    Object.assign(Object.create(null), { a: 1 }),
    JSON.parse('{"a":-0}'),
  ])
    t.equal(dataFault(data), undefined)
})

t.test('anything else has a fault, with its place', async t => {
  for (const [json, field, code = 'BAD_REQUEST'] of badData) {
    const fault = dataFault(JSON.parse(json))
    t.equal(fault?.code, code, json.slice(0, 60))
    // The request check shortens a pointer; here it is whole.
    if (field.length < 100) t.ok(`/data${fault?.pointer}`.startsWith(field), json.slice(0, 60))
  }
  for (const value of [
    undefined,
    new Uint8Array(3),
    Buffer.from('{}'),
    new Map(),
    new Date(),
    { a: undefined },
    { a: 1n },
    { a: new Uint8Array(1) },
    { a: Number.NaN },
    { a: () => 1 },
    [{ a: 1 }],
  ])
    t.equal(dataFault(value)?.code, 'BAD_REQUEST')
})

/** Returns a value with the keys of all objects in reverse order. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, item]) => [key, reversed(item)]),
  )
}

t.test('the canonical form depends on the content alone', async t => {
  fc.assert(
    fc.property(
      arbitraryData,
      data =>
        canonicalJson(reversed(data) as AppData) === canonicalJson(data) &&
        isDeepStrictEqual(JSON.parse(canonicalJson(data)), data),
    ),
  )
  fc.assert(
    fc.property(
      arbitraryData,
      arbitraryData,
      (one, other) => (canonicalJson(one) === canonicalJson(other)) === isDeepStrictEqual(one, other),
    ),
  )
  t.equal(canonicalJson({ b: [{ d: 1, c: 2 }], a: null }), '{"a":null,"b":[{"c":2,"d":1}]}')
})

t.test('an empty object removes data, as null does; absent data changes nothing', async t => {
  t.same(
    [dataChangeOf({}), dataChangeOf(null), dataChangeOf(undefined), dataChangeOf({ a: 0 })],
    [null, null, undefined, { a: 0 }],
  )
  t.same([newData({}), newData(undefined), newData({ a: 0 })], [undefined, undefined, { a: 0 }])
  t.ok(isUnchanged({ a: 1, b: 2 }, { b: 2, a: 1 }))
  t.ok(isUnchanged(undefined, null))
  t.ok(isUnchanged({ a: 1 }, undefined))
  t.notOk(isUnchanged({ a: 1 }, null))
  t.notOk(isUnchanged(undefined, { a: 1 }))
})
