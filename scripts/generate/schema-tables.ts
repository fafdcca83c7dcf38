import type { TSchema } from '@sinclair/typebox'
import { Id, Time } from '../../src/events/index.ts'
import { grouped, table } from './markdown.ts'

interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema | readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly maxItems?: number
  readonly default?: unknown
  readonly description?: string
  readonly 'x-maxBytes'?: number
  readonly 'x-maxEntries'?: number
}

const or = (options: readonly string[]): string =>
  options.length < 2 ? options.join() : `${options.slice(0, -1).join(', ')} or ${options.at(-1)}`

const isEvent = ({ anyOf }: Schema): boolean => anyOf?.[0]?.properties?.t?.const === 'event'

/** The type of a field, as the reference names it. */
const typeOf = (schema: Schema): string => {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``.replaceAll('"', '')
  if (isEvent(schema)) return 'event'
  if (schema.anyOf !== undefined) return or(schema.anyOf.map(typeOf))
  if (schema.pattern === Id.pattern) return 'id'
  if (schema.pattern === Time.pattern) return 'time'
  if (schema.patternProperties !== undefined) {
    const [[pattern, value] = ['', {}]] = Object.entries(schema.patternProperties)
    return `map of ${pattern === Id.pattern ? 'id' : 'string'} to ${typeOf(value)}`
  }
  if (Array.isArray(schema.items)) return `[${(schema.items as Schema[]).map(typeOf).join(', ')}]`
  if (schema.items !== undefined) return `array of ${typeOf(schema.items as Schema)}`
  return schema.type ?? 'any'
}

const boundsOf = (schema: Schema): string => {
  const bounds: string[] = []
  const { minimum, maximum, minLength = 0, maxLength, maxItems, pattern } = schema
  if (minimum !== undefined)
    bounds.push(
      maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
        ? `${minimum} or more`
        : `${grouped(minimum)} to ${grouped(maximum)}`,
    )
  const maxBytes = schema['x-maxBytes']
  if (maxBytes !== undefined) bounds.push(`at most ${grouped(maxBytes)} bytes`)
  else if (maxLength !== undefined) bounds.push(`${minLength} to ${grouped(maxLength)} characters`)
  if (maxItems !== undefined && !Array.isArray(schema.items))
    bounds.push(`at most ${grouped(maxItems)} items`)
  const maxEntries = schema['x-maxEntries']
  if (maxEntries !== undefined) bounds.push(`at most ${grouped(maxEntries)} entries`)
  if (pattern === '^[0-9a-f]{64}$') bounds.push('64 digits')
  const value = Object.values(schema.patternProperties ?? {})[0]
  if (value?.minimum !== undefined) bounds.push(`values ${boundsOf(value)}`)
  return bounds.join(', ')
}

interface Row {
  readonly name: string
  readonly schema: Schema
  readonly isRequired: boolean
}

/** The object whose fields a field has: its own, its items' or, of a value that may be null, the value's. */
const objectIn = (schema: Schema): { readonly object: Schema; readonly suffix: string } | undefined => {
  if (isEvent(schema)) return undefined
  if (schema.properties !== undefined) return { object: schema, suffix: '' }
  if (schema.items !== undefined && !Array.isArray(schema.items)) {
    const inner = objectIn(schema.items as Schema)
    return inner && { object: inner.object, suffix: `[]${inner.suffix}` }
  }
  const object = schema.anyOf?.find(({ properties }) => properties !== undefined)
  return object && { object, suffix: '' }
}

const rowsOf = (schema: Schema, omitted: readonly string[], prefix = ''): Row[] =>
  Object.entries(schema.properties ?? {})
    .filter(([name]) => !omitted.includes(name))
    .flatMap(([name, field]): Row[] => {
      const path = `${prefix}${name}`
      const inner = objectIn(field)
      return [
        { name: path, schema: field, isRequired: schema.required?.includes(name) ?? false },
        ...(inner === undefined ? [] : rowsOf(inner.object, [], `${path}${inner.suffix}.`)),
      ]
    })

/** The table of a schema's fields, without those that the page describes once. Undefined: there are none. */
export const fieldTable = (
  schema: TSchema,
  { omitted = [], hasDefaults = false }: { omitted?: readonly string[]; hasDefaults?: boolean } = {},
): string | undefined => {
  const rows = rowsOf(schema as Schema, omitted)
  if (rows.length === 0) return undefined
  const head = ['field', 'type', 'required', 'bounds', ...(hasDefaults ? ['default'] : []), 'meaning']
  return table(
    head,
    rows.map(({ name, schema, isRequired }) => [
      `\`${name}\``,
      typeOf(schema),
      isRequired ? 'yes' : 'no',
      boundsOf(schema),
      ...(hasDefaults ? [schema.default === undefined ? '' : `\`${JSON.stringify(schema.default)}\``] : []),
      schema.description ?? '',
    ]),
  )
}
