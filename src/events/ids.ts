import { type TSchema, Type } from '@sinclair/typebox'
import { Limits } from './limits.ts'

/** A conversation, user, message, device or command id: 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
export const Id = Type.String({ pattern: `^[A-Za-z0-9_-]{1,${Limits.idChars}}$` })

const idPattern = new RegExp(Id.pattern as string)

export const isId = (value: unknown): value is string => typeof value === 'string' && idPattern.test(value)

/** A time as events carry it: ISO 8601, UTC, milliseconds. */
export const Time = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' })

/** A `seq` that an event can have. */
export const Seq = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

/** A `seq` that may also say "before the first". */
export const Mark = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** One of the given literals. */
export const OneOf = <const T extends readonly string[]>(...values: T) =>
  Type.Unsafe<T[number]>(Type.Union(values.map(value => Type.Literal(value)) as TSchema[]))
