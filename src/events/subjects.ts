import { checkedId, InvalidNameError, isId } from './ids.ts'

/** The families of stored subjects. */
export const Family = { conversation: 'conv', user: 'user' } as const
export type Family = (typeof Family)[keyof typeof Family]

/** The aggregate that an event belongs to. Each aggregate has one literal subject in the log. */
export interface AggregateRef {
  readonly family: Family
  readonly id: string
}

/** Number of partitions. An id never changes its partition; partitions move between streams. */
export const partitionCount = 256

/** Subject prefix of the live feed: a stream republishes each stored event under it. */
export const livePrefix = 'live'

/** Returns the partition of an id, 0 to 255. Equal to NATS' `partition(256, …)` of the id. */
export const partitionOf = (id: string): number => fnv1a32(id) % partitionCount

const tokenPattern = /^[!-)+,\-/-=?-~]{1,255}$/

/**
 * Returns a name as one token of a subject: 1 to 255 printable ASCII characters except space and `.`, `*`, `>`. Throws
 * InvalidNameError. Every name in a subject passes this function or `checkedId`.
 */
export const subjectToken = (name: string): string => {
  if (tokenPattern.test(name)) return name
  throw new InvalidNameError('a token of a subject')
}

/**
 * Returns the subject of an aggregate: `conv.<partition>.<id>` or `user.<partition>.<id>`. Throws InvalidNameError, as
 * all functions here that return a subject.
 */
export const subjectOf = ({ family, id }: AggregateRef): string =>
  `${family}.${partitionOf(id)}.${checkedId(id)}`

/** Returns the subject of signals, which are never stored, for a conversation or a user: `sig.<partition>.<id>`. */
export const signalSubjectOf = (id: string): string => `sig.${partitionOf(id)}.${checkedId(id)}`

/** Returns the subject of the snapshot of an aggregate: `snap.<family>.<id>`. */
export const snapshotSubjectOf = ({ family, id }: AggregateRef): string => `snap.${family}.${checkedId(id)}`

/** Returns the subject of the dead letters of a projection: `dead.<projection>`. */
export const deadLetterSubjectOf = (projection: string): string => `dead.${subjectToken(projection)}`

/** The subjects that the functions above return, as patterns of NATS. Rights are given by them. */
export const SubjectPattern = {
  conversations: `${Family.conversation}.*.*`,
  users: `${Family.user}.*.*`,
  signals: 'sig.*.*',
  snapshots: 'snap.*.*',
  deadLetters: 'dead.*',
} as const

/** Returns the subjects on which the streams of a family republish their events. */
export const livePatternOf = (family: Family): string => `${livePrefix}.${family}.*.*`
/** The one subject of the records of the audit stream: a literal one, so that an append can expect the last record. */
export const auditSubject = 'audit.log'

/** Returns the aggregate of a stored or live subject; undefined for any other subject. */
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

/**
 * Returns the default name of the stream that holds a partition, such as `CONV_0`, when the family has `streams`
 * streams.
 */
export const streamOfPartition = (family: Family, partition: number, streams: number): string =>
  `${family.toUpperCase()}_${streams === 1 ? 0 : jumpHash(partition, streams)}`

/** Returns the subjects of the stream with this index, from 0, when the family has `streams` streams. */
export const subjectsOfStream = (family: Family, index: number, streams: number): string[] => {
  if (streams === 1) return [`${family}.*.*`]
  const subjects: string[] = []
  for (let partition = 0; partition < partitionCount; partition++)
    if (jumpHash(partition, streams) === index) subjects.push(`${family}.${partition}.*`)
  return subjects
}

const offsetBasis = 0x811c9dc5
const prime = 0x01000193

/**
 * Returns the 32-bit FNV-1a hash of an ASCII string; ids are ASCII. NATS' `partition()` uses the same function.
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
 * Jump consistent hash: returns the slot of `key`, 0 to `slots` - 1. Growing from n to n + 1 slots moves 1 / (n + 1) of
 * the keys, all of them to the new slot.
 * @see Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014
 */
export const jumpHash = (key: number, slots: number): number => {
  if (!Number.isInteger(slots) || slots < 1) throw new RangeError(`slots must be 1 or more, not ${slots}`)
  let state = BigInt(key)
  let slot = -1
  let next = 0
  while (next < slots) {
    slot = next
    state = (state * multiplier + 1n) & mask
    next = Math.floor((slot + 1) * (2 ** 31 / Number((state >> 33n) + 1n)))
  }
  return slot
}
