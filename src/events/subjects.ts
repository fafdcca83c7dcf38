import { fnv1a32 } from './fnv1a.ts'
import { isId } from './ids.ts'
import { jumpHash } from './jump-hash.ts'

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
