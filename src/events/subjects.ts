import { isId } from './ids.ts'

/** The families of subjects that are stored. */
export const Family = { conversation: 'conv', user: 'user' } as const
export type Family = (typeof Family)[keyof typeof Family]

/** Which aggregate an event belongs to: one literal subject of the log. */
export interface AggregateRef {
  readonly family: Family
  readonly id: string
}

/** Every id falls into one of these; it never changes, streams do. */
export const partitionCount = 256

/** Subject prefix of the live feed: what a stream stored comes again under it. */
export const livePrefix = 'live'

/** 0 to 255, equal to NATS' `partition(256, …)` of the id. */
export const partitionOf = (id: string): number => fnv1a32(id) % partitionCount

/** `conv.<bucket>.<id>` or `user.<bucket>.<id>`. */
export const subjectOf = (aggregate: AggregateRef): string =>
  `${aggregate.family}.${partitionOf(aggregate.id)}.${aggregate.id}`

/** `sig.<bucket>.<id>`: ephemeral, for a conversation or a user. */
export const signalSubjectOf = (id: string): string => `sig.${partitionOf(id)}.${id}`

/** The aggregate of a stored or live subject; undefined for any other subject. */
export const parseSubject = (subject: string): AggregateRef | undefined => {
  const start = subject.startsWith('live.') ? 5 : 0
  const family = subject.startsWith('conv.', start)
    ? 'conv'
    : subject.startsWith('user.', start)
      ? 'user'
      : undefined
  if (family === undefined) return undefined
  const dot = subject.indexOf('.', start + 5)
  if (dot < 0) return undefined
  const id = subject.slice(dot + 1)
  if (!isId(id) || subject.slice(start + 5, dot) !== String(partitionOf(id))) return undefined
  return { family, id }
}

/** `CONV_0` …: the stream that holds a bucket, where the family has `streams` of them. */
export const streamOfPartition = (family: Family, bucket: number, streams: number): string =>
  `${family.toUpperCase()}_${streams === 1 ? 0 : jumpHash(bucket, streams)}`

/** The subjects of the `index`th stream of a family. */
export const subjectsOfStream = (family: Family, index: number, streams: number): string[] => {
  if (streams === 1) return [`${family}.*.*`]
  const subjects: string[] = []
  for (let bucket = 0; bucket < partitionCount; bucket++)
    if (jumpHash(bucket, streams) === index) subjects.push(`${family}.${bucket}.*`)
  return subjects
}

const offsetBasis = 0x811c9dc5
const prime = 0x01000193

/**
 * FNV-1a, 32 bits, of an ASCII string; ids are ASCII. NATS' `partition()` hashes subject tokens with the same function.
 * @see http://www.isthe.com/chongo/tech/comp/fnv/
 */
export const fnv1a32 = (ascii: string): number => {
  let hash = offsetBasis
  for (let i = 0; i < ascii.length; i++) hash = Math.imul(hash ^ ascii.charCodeAt(i), prime)
  return hash >>> 0
}

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
