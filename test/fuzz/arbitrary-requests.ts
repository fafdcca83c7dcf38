import type { TSchema } from '@sinclair/typebox'
import fc from 'fast-check'
import { Hello, Requests } from '../../src/events/index.ts'
import { files, seqs, strangeValues, stringsByField } from './vocabulary.ts'

export type Fields = Record<string, unknown>

/** A field of a request that the fuzzer replaces, adds or removes. */
interface Change {
  readonly field: string
  /** Index of a strange value; undefined removes the field. */
  readonly value: number | undefined
}

/** A request, valid by its schema, and what is changed in it. */
export interface FuzzedRequest {
  readonly fields: Fields
  readonly changes: readonly Change[]
}

const schemas = { ...Requests, hello: Hello } as const
const fieldNames = [
  ...new Set(Object.values(schemas).flatMap(({ properties }) => Object.keys(properties))),
  'x',
  '__proto__',
  'constructor',
]

interface JsonSchema extends Record<string, unknown> {
  readonly type?: string
  readonly const?: unknown
  readonly anyOf?: readonly TSchema[]
  readonly properties?: Record<string, TSchema>
  readonly required?: readonly string[]
  readonly patternProperties?: Record<string, TSchema>
  readonly items?: TSchema
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
}

const integers = ({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: JsonSchema): fc.Arbitrary<number> =>
  fc.oneof(
    {
      weight: 6,
      arbitrary:
        maximum > 1_000
          ? seqs.map(seq => Math.min(maximum, Math.max(minimum, seq)))
          : fc.nat({ max: maximum }),
    },
    { weight: 1, arbitrary: fc.constantFrom(minimum, maximum) },
  )

/** Returns an arbitrary of the values that a schema accepts, and of some that later checks refuse. */
const arbitraryOf = (schema: TSchema, name: string): fc.Arbitrary<unknown> => {
  const given = schema as JsonSchema
  if (given.const !== undefined) return fc.constant(given.const)
  if (given.anyOf !== undefined) return fc.oneof(...given.anyOf.map(option => arbitraryOf(option, name)))
  switch (given.type) {
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'integer':
      return name === 'size' ? fc.constantFrom(...files.map(file => file.size), 0) : integers(given)
    case 'string':
      return stringsByField[name] ?? fc.string({ unit: 'binary', maxLength: 20 })
    case 'array':
      return fc.array(arbitraryOf(given.items!, name), { maxLength: Math.min(given.maxItems ?? 6, 6) })
    case 'object':
      if (given.patternProperties !== undefined)
        return fc.dictionary(stringsByField.c!, seqs, { maxKeys: 6, noNullPrototype: true })
      return given.properties === undefined || Object.keys(given.properties).length === 0
        ? fc.dictionary(fc.string({ maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), {
            maxKeys: 4,
            noNullPrototype: true,
          })
        : objectOf(given)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

/** Gives a description of a file the size and hash of the same file, or no upload would ever end. */
const withFile = (fields: Fields, file: number | undefined): Fields => {
  const { size, sha256 } = files[file ?? -1] ?? {}
  return size !== undefined && 'sha256' in fields && 'size' in fields ? { ...fields, size, sha256 } : fields
}

const objectOf = ({ properties = {}, required = [] }: JsonSchema): fc.Arbitrary<Fields> =>
  fc
    .tuple(
      fc.record(
        Object.fromEntries(
          Object.entries(properties).map(([name, schema]) => [name, arbitraryOf(schema, name)]),
        ) as Record<string, fc.Arbitrary<unknown>>,
        { requiredKeys: [...required], noNullPrototype: true },
      ),
      fc.option(fc.nat({ max: files.length - 1 }), { nil: undefined, freq: 8 }),
    )
    .map(([fields, file]) => withFile(fields as Fields, file))

/** How often a type is generated; other types: 2. */
const weights: Readonly<Record<string, number>> = { create: 5, send: 8, edit: 4, react: 4, hello: 1 }

/** Valid requests of a type by its published schema. Their ids are set when they are sent. */
export const requestsOfType = (type: string): fc.Arbitrary<Fields> =>
  objectOf(schemas[type as keyof typeof schemas] as unknown as JsonSchema)

/** Requests of all types. */
const validRequests: fc.Arbitrary<Fields> = fc.oneof(
  ...Object.keys(schemas).map(type => ({ weight: weights[type] ?? 2, arbitrary: requestsOfType(type) })),
)

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({
    field: fc.constantFrom(...fieldNames),
    value: fc.option(fc.nat({ max: strangeValues.length - 1 }), { nil: undefined, freq: 6 }),
  }),
  { minLength: 1, maxLength: 3 },
)

/** Requests, most of them valid. */
export const requests: fc.Arbitrary<FuzzedRequest> = fc.record({
  fields: validRequests,
  changes: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 2, arbitrary: changes }),
})

/** Returns the object that a client sends. */
export const changed = ({ fields, changes }: FuzzedRequest, id: string): Fields => {
  const sent: Fields = { ...fields, id }
  for (const { field, value } of changes)
    if (value === undefined) delete sent[field]
    else
      Object.defineProperty(sent, field, {
        value: strangeValues[value]!(),
        enumerable: true,
        configurable: true,
        writable: true,
      })
  return sent
}
