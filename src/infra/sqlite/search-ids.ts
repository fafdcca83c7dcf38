/**
 * The ids of messages in the index: their time in milliseconds, then 20 bits of their place in the log. So the index's own order is that of time, the newest
 * are found first without sorting all that match, and a span of time is a range of ids. Times outside 1970 to 2248 count as the nearest inside.
 */
const placeBits = 20n
const latestMs = 2 ** 43 - 1

/** The first id of a time, ms since 1970. */
export const firstIdAt = (ms: number): bigint =>
  BigInt(Math.ceil(Math.min(Math.max(ms, 0), latestMs))) << placeBits

/** Throws on a time that is none. */
export const idOf = (at: string, streamSeq: number): bigint => {
  const ms = Date.parse(at)
  if (Number.isNaN(ms)) throw new RangeError(`${at} is not a time`)
  return firstIdAt(ms) | BigInt(streamSeq & 0xfffff)
}
