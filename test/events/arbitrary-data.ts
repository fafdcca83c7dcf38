import fc from 'fast-check'
import type { AppData } from '../../src/events/index.ts'

/** Keys that mean something to JavaScript, to libraries, or to the frames around the data. */
const key = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  fc.constantFrom(
    'constructor',
    'toJSON',
    'hasOwnProperty',
    'prototype',
    'valueOf',
    'then',
    'length',
    'at',
    'seq',
    'type',
    '$ref',
    '0',
    '-1',
    'a/b~c',
    '',
  ),
)

const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  // JSON has no negative zero.
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
)

const { object } = fc.letrec(tie => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false),
    number,
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('object'),
  ),
  object: fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
}))

/** Any data that a client may store. */
export const arbitraryData = (object as fc.Arbitrary<AppData>).filter(data => {
  const json = JSON.stringify(data)
  return Buffer.byteLength(json) <= 4096 && !json.includes('"__proto__":')
})

/** Returns a value in so many levels of objects. */
export const nested = (levels: number, value: unknown = 1): AppData => {
  let data = value
  for (let level = 0; level < levels; level++) data = { a: data }
  return data as AppData
}

/** Returns data with so many bytes as JSON. */
export const dataOfBytes = (bytes: number): AppData => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) })

/** JSON of data that no client may store, with the field and the code of the error. */
export const badData: readonly (readonly [json: string, field: string, code?: 'TOO_LARGE'])[] = [
  ['[]', '/data'],
  ['[{}]', '/data'],
  ['"text"', '/data'],
  ['5', '/data'],
  ['true', '/data'],
  ['{"a":1e999}', '/data/a'],
  ['{"a":[0,{"b/c~d":-1e999}]}', '/data/a/1/b~1c~0d'],
  ['{"a":"\\ud800"}', '/data/a'],
  ['{"a":{"\\udc00":1}}', '/data/a'],
  ['{"__proto__":1}', '/data'],
  ['{"a":[{"__proto__":{"b":1}}]}', '/data/a/0'],
  [`{"${'k'.repeat(300)}":1e999}`, '/data'],
  [JSON.stringify(nested(33)), `/data${'/a'.repeat(32)}`],
  [`${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`, `/data${'/a'.repeat(32)}`],
  [`{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, `/data/a${'/0'.repeat(31)}`],
  [JSON.stringify(dataOfBytes(4097)), '/data', 'TOO_LARGE'],
  [JSON.stringify({ a: 'é'.repeat(2045) }), '/data', 'TOO_LARGE'],
]
