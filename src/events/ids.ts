import { type TSchema, Type } from '@sinclair/typebox'
import { CodedError } from '../base/coded-error.ts'
import { Limits } from './limits.ts'

/** A conversation, user, message, device or command id: 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
export const Id = Type.String({ pattern: `^[A-Za-z0-9_-]{1,${Limits.idChars}}$` })

const idPattern = new RegExp(Id.pattern as string)

/** Whether a value is a valid id. */
export const isId = (value: unknown): value is string => typeof value === 'string' && idPattern.test(value)

/**
 * Thrown instead of building a subject, a key or a path from a value that may not be a part of one. A defect of the
 * caller: requests are checked before. The message does not repeat the value.
 */
export class InvalidNameError extends CodedError<'INVALID_NAME'> {
  constructor(what: string) {
    super('INVALID_NAME', `${what} is not valid: no subject, key or path may contain it`)
  }
}

/** Returns an id, for a subject, a key or a path. Throws InvalidNameError. */
export const checkedId = (id: string): string => {
  if (isId(id)) return id
  throw new InvalidNameError('an id')
}

/** Time of an event: ISO 8601, UTC, with milliseconds. */
export const Time = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' })

const timePattern = new RegExp(Time.pattern as string)

/** Whether a text is the time of an event. */
export const isTime = (text: string): boolean => timePattern.test(text)

/** Sequence number of an event, from 1. */
export const Seq = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })

/** A marker: sequence number of an event, or 0 for "before the first event". */
export const Mark = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** Schema of a union of string literals. */
export const OneOf = <const T extends readonly string[]>(...values: T) =>
  Type.Unsafe<T[number]>(Type.Union(values.map(value => Type.Literal(value)) as TSchema[]))
