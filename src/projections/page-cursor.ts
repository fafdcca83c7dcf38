import { ConfabError } from '../events/index.ts'

/** An opaque cursor: where the last row of a page stands in the order of the pages. */
export const encodeCursor = (place: readonly string[]): string =>
  Buffer.from(place.join('\n')).toString('base64url')

/** The `parts` strings of a cursor. Throws ConfabError BAD_REQUEST when it is not one of ours. */
export const decodeCursor = (cursor: string, parts: number): string[] => {
  const place = Buffer.from(cursor, 'base64url').toString().split('\n')
  if (place.length !== parts || encodeCursor(place) !== cursor)
    throw new ConfabError('BAD_REQUEST', 'This cursor is not one that was given out.', { field: '/cursor' })
  return place
}
