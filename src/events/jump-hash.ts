const multiplier = 2862933555777941757n
const mask = (1n << 64n) - 1n

/**
 * Jump consistent hash: the bucket of `key` among `buckets`, 0 to `buckets` - 1. Growing from n to n + 1 buckets moves 1 / (n + 1) of the keys,
 * all of them to the new one.
 * @see Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014
 */
export const jumpHash = (key: number, buckets: number): number => {
  if (!Number.isInteger(buckets) || buckets < 1)
    throw new RangeError(`buckets must be 1 or more, not ${buckets}`)
  let state = BigInt(key)
  let bucket = -1
  let next = 0
  while (next < buckets) {
    bucket = next
    state = (state * multiplier + 1n) & mask
    next = Math.floor((bucket + 1) * (2 ** 31 / Number((state >> 33n) + 1n)))
  }
  return bucket
}
