/**
 * The ids of messages in the index: time in ms, then 20 bits of the stream sequence. The index's own order is then by
 * time: the newest hits are found without a sort, and a time range is a range of ids. Times outside 1970 to 2248 are
 * clamped.
 */
const placeBits = 20n
const latestMs = 2 ** 43 - 1

/** Returns the first id of a time, ms since 1970. */
export const firstIdAt = (ms: number): bigint =>
  BigInt(Math.ceil(Math.min(Math.max(ms, 0), latestMs))) << placeBits

/** Throws RangeError for an invalid time. */
export const idOf = (at: string, streamSeq: number): bigint => {
  const ms = Date.parse(at)
  if (Number.isNaN(ms)) throw new RangeError(`${at} is not a time`)
  return firstIdAt(ms) | BigInt(streamSeq & 0xfffff)
}
