import { Limits } from '../../events/index.ts'
import { JsonFields } from '../sessions/frames.ts'

interface Page {
  readonly items: readonly object[]
  readonly cursor: string | undefined
  /** Said of the whole page. */
  readonly behind?: boolean
}

/** Bytes of an answer's frame that are not items, at most: a cursor is the longest of it. */
const frameRest = 1024

/** How many of them a frame holds, at least one. */
const fitting = (items: readonly string[]): number => {
  let room = Limits.frameBytes - frameRest
  let count = 0
  for (const item of items) {
    room -= Buffer.byteLength(item) + 1
    if (room < 0 && count > 0) break
    count++
  }
  return count
}

/** The answer with a page of `name`. When it would outgrow a frame, a shorter one is asked for, whose cursor goes on after it. */
export const listPage = async (
  name: string,
  limit: number,
  ask: (limit: number) => Promise<Page>,
): Promise<JsonFields> => {
  for (let most = limit; ; ) {
    const { items, cursor, behind } = await ask(most)
    const written = items.map(item => JSON.stringify(item))
    const count = fitting(written)
    if (count < written.length) {
      most = count
      continue
    }
    const rest = cursor === undefined ? '' : `,"cursor":${JSON.stringify(cursor)}`
    return new JsonFields(`{"${name}":[${written.join(',')}]${rest}${behind ? ',"behind":true' : ''}}`)
  }
}
