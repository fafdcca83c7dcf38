import { Limits } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'
import { JsonFields } from '../sessions/frames.ts'

/** Items of a page when the request names no limit. */
export const defaultPage = 50

/** Returns an object with one property, or without it when the value is undefined. */
export const given = <K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } =>
  value === undefined ? {} : ({ [name]: value } as { [P in K]: V })

/** Bytes that a frame needs besides events, and besides items; the longest part is the cursor. */
const eventsOverhead = 256
const itemsOverhead = 1024

/** Returns how many of these sizes, at least one, fit a frame. Each item needs one more byte for its comma. */
const countFitting = (sizes: Iterable<number>, overhead: number): number => {
  let room = Limits.frameBytes - overhead
  let count = 0
  for (const size of sizes) {
    room -= size + 1
    if (room < 0 && count > 0) break
    count++
  }
  return count
}

/** Returns as many entries as fit a frame, at least one: the first ones, or the last ones. */
export const fittingEntries = (
  entries: readonly TimelineEntry[],
  fromEnd: boolean,
): readonly TimelineEntry[] => {
  const sizes = entries.map(({ data }) => data.length)
  const count = countFitting(fromEnd ? sizes.reverse() : sizes, eventsOverhead)
  return fromEnd ? entries.slice(entries.length - count) : entries.slice(0, count)
}

/** Returns as many entries as fit a frame, next to the entry with this seq on both sides, and that entry. */
export const fittingAround = (entries: readonly TimelineEntry[], seq: number): readonly TimelineEntry[] => {
  let start = Math.max(
    0,
    entries.findIndex(entry => entry.seq >= seq),
  )
  let end = start + 1
  let room = Limits.frameBytes - eventsOverhead - (entries[start]?.data.length ?? 0) - 1
  const take = (index: number): boolean => {
    const size = entries[index]?.data.length
    if (size === undefined || size >= room) return false
    room -= size + 1
    return true
  }
  for (let isBefore = true, isAfter = true; isBefore || isAfter; ) {
    isBefore &&= take(start - 1)
    if (isBefore) start--
    isAfter &&= take(end)
    if (isAfter) end++
  }
  return entries.slice(start, end)
}

/** Returns how many items, at least one, fit a frame. */
export const fittingItems = (items: readonly object[]): number =>
  countFitting(
    items.map(item => Buffer.byteLength(JSON.stringify(item))),
    itemsOverhead,
  )

interface Page {
  readonly items: readonly object[]
  readonly cursor: string | undefined
  /** The view did not reach the sequence numbers of the request in time. */
  readonly behind?: boolean
}

/**
 * Returns a page of items under `name`. When it exceeds a frame, it reads a shorter page, whose cursor fits its end.
 */
export const listPage = async (
  name: string,
  limit: number,
  read: (limit: number) => Promise<Page>,
): Promise<JsonFields> => {
  for (let most = limit; ; ) {
    const { items, cursor, behind } = await read(most)
    const written = items.map(item => JSON.stringify(item))
    const count = countFitting(
      written.map(item => Buffer.byteLength(item)),
      itemsOverhead,
    )
    if (count < written.length) {
      most = count
      continue
    }
    const rest = cursor === undefined ? '' : `,"cursor":${JSON.stringify(cursor)}`
    return new JsonFields(`{"${name}":[${written.join(',')}]${rest}${behind ? ',"behind":true' : ''}}`)
  }
}
