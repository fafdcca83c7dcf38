import { ConfabError } from '../../events/index.ts'

/** The end of a page: time and tie-breaker of its last message. */
export type Place = readonly [time: number, place: number]

const encode = (place: Place): string => Buffer.from(place.join('\n')).toString('base64url')

/** Encodes an opaque cursor. */
export const encodeCursor = encode

/** Decodes a cursor. Throws ConfabError BAD_REQUEST when it is invalid. */
export const decodeCursor = (cursor: string): Place => {
  const [time = Number.NaN, place = Number.NaN] = Buffer.from(cursor, 'base64url')
    .toString()
    .split('\n')
    .map(Number)
  if (!Number.isSafeInteger(time) || !Number.isSafeInteger(place) || encode([time, place]) !== cursor)
    throw new ConfabError(
      'BAD_REQUEST',
      'This is not a valid cursor. Use the `cursor` of an earlier answer.',
      { field: '/cursor' },
    )
  return [time, place]
}
