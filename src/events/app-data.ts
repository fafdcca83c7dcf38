import { Type } from '@sinclair/typebox'
import { Limits } from './limits.ts'

/**
 * Data of the application in a message, a conversation or a user: a JSON object. confab stores and returns it, and
 * reads nothing of it.
 */
export type AppData = { readonly [key: string]: unknown }

/** Any object. `dataFault` checks the content of a request's data. */
const anyObject = Type.Object({}, { additionalProperties: Type.Unknown() })

export const AppData = Type.Unsafe<AppData>(anyObject)

/** A change of data: an object replaces it, null removes it. */
export const AppDataChange = Type.Unsafe<AppData | null>(Type.Union([anyObject, Type.Null()]))
export type AppDataChange = AppData | null

/** The reason for which a request's data cannot be stored. */
export interface DataFault {
  readonly code: 'BAD_REQUEST' | 'TOO_LARGE'
  /** JSON pointer of the value at fault within the data; empty: the data itself. */
  readonly pointer: string
  readonly reason: string
}

const bad = (reason: string): DataFault => ({ code: 'BAD_REQUEST', pointer: '', reason })

/**
 * Returns the reason why a client may not store this data; undefined when it may. Null, which removes data, is for the
 * request's schema to allow. The time is linear in the size, and the recursion ends at `Limits.dataDepth`.
 */
export const dataFault = (data: unknown): DataFault | undefined => {
  if (data === null) return undefined
  if (!isObject(data)) return bad('expected a JSON object')
  const fault = faultIn(data, 1)
  if (fault !== undefined) return fault
  return Buffer.byteLength(JSON.stringify(data)) > Limits.dataBytes
    ? { code: 'TOO_LARGE', pointer: '', reason: `at most ${Limits.dataBytes} bytes of JSON in UTF-8` }
    : undefined
}

/** Whether a value is a JSON object: MessagePack also decodes to bytes. */
const isObject = (value: unknown): value is Record<string, unknown> => {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const faultIn = (value: unknown, depth: number): DataFault | undefined => {
  if (value === null || typeof value === 'boolean') return undefined
  if (typeof value === 'string')
    return value.isWellFormed()
      ? undefined
      : bad('expected well-formed Unicode, found half of a surrogate pair')
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : bad('expected a finite number')
  const isArray = Array.isArray(value)
  if (!isArray && !isObject(value)) return bad('expected a JSON value')
  if (depth > Limits.dataDepth) return bad(`at most ${Limits.dataDepth} levels of objects and arrays`)
  if (isArray) {
    for (const [index, item] of value.entries()) {
      const fault = faultIn(item, depth + 1)
      if (fault !== undefined) return { ...fault, pointer: `/${index}${fault.pointer}` }
    }
    return undefined
  }
  for (const key of Object.keys(value)) {
    // Several decoders of JSON and MessagePack take this key for the prototype, or rename it.
    if (key === '__proto__') return bad('a key may not be __proto__')
    if (!key.isWellFormed())
      return bad('expected well-formed Unicode in keys, found half of a surrogate pair')
    const fault = faultIn(value[key], depth + 1)
    if (fault !== undefined) return { ...fault, pointer: `/${escaped(key)}${fault.pointer}` }
  }
  return undefined
}

/** Escapes a key for a JSON pointer (RFC 6901). */
const escaped = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')

/** Returns the change that a request asks for: an empty object removes data, as null does. Undefined: no change. */
export const dataChangeOf = (data: AppDataChange | undefined): AppDataChange | undefined =>
  data !== undefined && data !== null && Object.keys(data).length === 0 ? null : data

/** Returns the data that is stored with something new. Undefined: none. */
export const newData = (data: AppData | undefined): AppData | undefined => dataChangeOf(data) ?? undefined

const sorted = (_key: string, value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
    : value

/** Returns data as JSON, independent of the order of keys. */
export const canonicalJson = (data: AppDataChange): string => JSON.stringify(data, sorted)

/** Whether a change would leave data as it is. */
export const isUnchanged = (data: AppData | undefined, change: AppDataChange | undefined): boolean =>
  change === undefined || canonicalJson(change) === canonicalJson(data ?? null)
