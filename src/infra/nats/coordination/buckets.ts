import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { BucketSettings, readSettings } from '../log/definition-schema.ts'
import {
  bucketsFile,
  ownStreamsFolder,
  type StreamDefinition,
  safeguards,
} from '../log/stream-definitions.ts'

/** A key-value bucket of JetStream. `streams/buckets.yaml` has its settings. */
export interface BucketName {
  readonly bucket: string
}

/** The buckets of a running system. */
export const Bucket = {
  projections: { bucket: 'confab-projections' },
  leases: { bucket: 'confab-leases' },
  presence: { bucket: 'confab-presence' },
  revocations: { bucket: 'confab-revocations' },
  quotas: { bucket: 'confab-quotas' },
  lastSeen: { bucket: 'confab-last-seen' },
  operations: { bucket: 'confab-operations' },
} as const satisfies Record<string, BucketName>

/** Returns the name of the stream of a bucket. */
export const bucketStream = ({ bucket }: BucketName): string => `KV_${bucket}`

/** Returns the subject of a key, or of all keys that a pattern selects. */
export const bucketSubject = ({ bucket }: BucketName, key: string): string => `$KV.${bucket}.${key}`

/** The settings of every bucket. Reads go to the leader: a replica that is behind answers direct gets too. */
const ofEachBucket = { discard: 'new', deny_delete: true, allow_direct: false } as const

const known: ReadonlySet<string> = new Set(Object.values(Bucket).map(({ bucket }) => bucket))

const compile = (raw: unknown): StreamDefinition[] => {
  const buckets = (raw as { buckets?: unknown } | null)?.buckets
  if (typeof buckets !== 'object' || buckets === null)
    throw new TypeError('buckets: needs the buckets by name')
  const problems: string[] = []
  const definitions = Object.entries(buckets).flatMap(([bucket, settings]): StreamDefinition[] => {
    const place = `buckets.${bucket}`
    if (!known.has(bucket)) problems.push(`${place}: confab has no such bucket`)
    try {
      const config = readSettings(BucketSettings, settings, place)
      const subjects = [bucketSubject({ bucket }, '>')]
      return [
        {
          ...safeguards,
          ...ofEachBucket,
          ...config,
          name: bucketStream({ bucket }),
          subjects,
        } as StreamDefinition,
      ]
    } catch (error) {
      problems.push((error as Error).message)
      return []
    }
  })
  for (const bucket of known) if (!(bucket in buckets)) problems.push(`buckets.${bucket}: is missing`)
  if (problems.length > 0) throw new TypeError(problems.join('; '))
  return definitions
}

/** Reads the definitions of all buckets, as streams. Throws NatsError, which names the file and every wrong field. */
export const loadBuckets = (folder = ownStreamsFolder()): StreamDefinition[] => {
  const file = join(folder, bucketsFile)
  try {
    return compile(parse(readFileSync(file, 'utf8')))
  } catch (error) {
    throw new NatsError(NatsProblem.streams, `${file}: ${(error as Error).message}`, error)
  }
}
