import type { StorageType } from '@nats-io/jetstream'

/** A key-value bucket of JetStream. */
export interface BucketDefinition {
  readonly bucket: string
  readonly storage: `${StorageType}`
  /** Number of values that are kept for each key. */
  readonly history: number
  /**
   * Whether values may have their own time to live. The server removes the marker of an expired value after a second.
   */
  readonly expires?: boolean
  /** Time for which a value is kept, ms. Default: until it is replaced. A bucket with less is updated. */
  readonly keepMs?: number
}

/** The buckets of a running system. The role that writes a bucket creates it, unless `confab streams apply` did. */
export const Bucket = {
  projections: { bucket: 'confab-projections', storage: 'file', history: 8 },
  leases: { bucket: 'confab-leases', storage: 'memory', history: 1 },
  presence: { bucket: 'confab-presence', storage: 'memory', history: 1, expires: true },
  /** Kept for the longest lifetime of a token. */
  revocations: { bucket: 'confab-revocations', storage: 'file', history: 1 },
  /** Counts of a day are needed until the day ends everywhere. */
  quotas: { bucket: 'confab-quotas', storage: 'file', history: 1, keepMs: 2 * 86_400_000 },
  lastSeen: { bucket: 'confab-last-seen', storage: 'file', history: 1 },
  /** The journal of moves of partitions. The values of an operation show an operator its steps. */
  operations: { bucket: 'confab-operations', storage: 'file', history: 8 },
} as const satisfies Record<string, BucketDefinition>

/** Returns the name of the stream of a bucket. */
export const bucketStream = ({ bucket }: Pick<BucketDefinition, 'bucket'>): string => `KV_${bucket}`

/** Returns the subject of a key, or of all keys that a pattern selects. */
export const bucketSubject = ({ bucket }: Pick<BucketDefinition, 'bucket'>, key: string): string =>
  `$KV.${bucket}.${key}`
