import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import type { Nats } from '../client/connection.ts'
import {
  apiCodeOf,
  isSequenceConflict,
  requestTimeoutMs,
  retryRequest,
  streamTaking,
} from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { deadLetterSubjects } from '../log/nats-dead-letters.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { compareStream, type StreamDifferences } from '../log/stream-differences.ts'
import {
  type Applied,
  type ComparedStream,
  createMissing,
  infoOf,
  openManager,
  refuseLoss,
  updateStreams,
} from '../log/streams.ts'
import { Bucket, type BucketName, bucketStream, loadBuckets } from './buckets.ts'

/** Whether a value was not replaced, because another process replaced it since it was read. */
export const isBucketConflict = (error: unknown): boolean => isSequenceConflict(apiCodeOf(error))

/** Throws NatsError without a connection. nats.js would keep the request for the next connection. */
export const checkConnected = (nats: Nats): void => {
  if (!nats.connected()) throw new NatsError(NatsProblem.failed, 'NATS is not connected')
}

/** The needs of a system, beside the definition of a bucket. */
export interface BucketNeeds {
  /** Replicas. Default: as many as the stream of dead letters has. A bucket with more keeps them. */
  readonly replicas?: number | undefined
  /** Time for which values are kept at least, ms. Default: as defined. */
  readonly keepMs?: number | undefined
}

export interface BucketOptions extends BucketName, BucketNeeds {
  /** Timeout of each request on the bucket, ms. */
  readonly timeout: number
}

/** Compares a bucket with its definition and the needs of the system. */
const compareBucket = async (
  manager: JetStreamManager,
  definition: StreamDefinition,
  { replicas, keepMs = 0 }: BucketNeeds,
): Promise<ComparedStream> => {
  const info = await infoOf(manager, definition.name)
  const wanted = definition.num_replicas ?? replicas ?? (await replicasOfDeadLetters(manager))
  const defined: StreamDefinition = {
    ...definition,
    num_replicas: Math.max(wanted, info?.config.num_replicas ?? 1),
    ...(keepMs > 0 ? { max_age: Math.max(keepMs * 1e6, info?.config.max_age ?? 0) } : {}),
  }
  const { changes, kept } = compareStream(info, defined)
  const isMoved = changes.some(({ field }) => field === 'storage')
  return {
    changes: changes.filter(({ field }) => field !== 'storage'),
    // JetStream does not move a stream between disk and memory.
    kept: isMoved ? [...kept, 'storage'] : kept,
    defined,
    info,
  }
}

const definitionOf = ({ bucket }: BucketName): StreamDefinition =>
  loadBuckets().find(({ name }) => name === bucketStream({ bucket })) as StreamDefinition

/**
 * Opens a key-value bucket of JetStream. Creates it when there is none, and sets what differs from its definition and
 * loses nothing: without the right to do so, it works with a bucket that is as defined. Reads go to the leader, because
 * a replica that is behind answers direct gets too. Throws NatsError.
 */
export const openBucket = ({ connection }: Nats, options: BucketOptions): Promise<KV> =>
  retryRequest(`the bucket ${options.bucket}`, async () => {
    const { bucket, timeout } = options
    // Creating a stream with several replicas takes longer than the requests on it.
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: requestTimeoutMs })
    const compared = await compareBucket(manager, definitionOf(options), options)
    const existing = await createMissing(manager, [compared], () => {})
    const needed = existing.filter(({ changes }) => changes.some(({ field }) => essential.has(field)))
    if (needed.every(({ changes }) => changes.every(({ destructive }) => !destructive)))
      await updateStreams(manager, needed, () => {})
    return new Kvm(jetstream(connection, { timeout })).open(bucket, { allow_direct: false })
  })

/** Settings without which processes do not work with a bucket, or may lose values. */
const essential: ReadonlySet<string> = new Set([
  ...['num_replicas', 'max_age', 'allow_rollup_hdrs', 'allow_msg_ttl', 'subject_delete_marker_ttl'],
])

export interface ApplyBucketsOptions {
  readonly replicas?: number | undefined
  /** Time for which revocations are kept at least, ms. */
  readonly revocationsMs: number
  /** Names of the streams of the buckets that may lose values. Default: none. */
  readonly allowLoss?: ReadonlySet<string> | undefined
  /** Receives each bucket when it is as defined, also before a later one fails. */
  readonly onApplied?: ((applied: Applied) => void) | undefined
}

/** A server that is in no cluster loses buckets in memory when it restarts: there, all of them are on disk. */
const compareBuckets = async (
  { connection }: Nats,
  { replicas, revocationsMs }: ApplyBucketsOptions,
): Promise<{ readonly manager: JetStreamManager; readonly compared: readonly ComparedStream[] }> => {
  const manager = await openManager(connection)
  const isClustered = connection.info?.cluster !== undefined
  // In a new system, "apply" has not created the stream of dead letters yet.
  const copies = replicas ?? (await replicasOfDeadLetters(manager).catch(() => 1))
  const compared: ComparedStream[] = []
  for (const definition of loadBuckets()) {
    const keepMs = definition.name === bucketStream(Bucket.revocations) ? revocationsMs : undefined
    const one = await compareBucket(manager, isClustered ? definition : { ...definition, storage: 'file' }, {
      replicas: copies,
      keepMs,
    })
    // A role may have created the bucket before, in memory. JetStream does not change that, and it is no fault.
    const kept = isClustered ? one.kept : one.kept.filter(field => field !== 'storage')
    compared.push({ ...one, kept })
  }
  return { manager, compared }
}

/** Returns what `applyBuckets` would change. Throws NatsError. */
export const planBuckets = async (nats: Nats, options: ApplyBucketsOptions): Promise<StreamDifferences> => {
  const { compared } = await compareBuckets(nats, options)
  return {
    changes: compared.flatMap(({ changes }) => changes),
    kept: compared.flatMap(({ kept, defined }) => kept.map(field => `${field} of ${defined.name}`)),
  }
}

/**
 * Creates or updates the buckets as they are defined. It refuses updates that lose values of a bucket that `allowLoss`
 * does not name. Returns the names of their streams. Throws NatsError.
 */
export const applyBuckets = async (nats: Nats, options: ApplyBucketsOptions): Promise<readonly string[]> => {
  const { allowLoss = new Set<string>(), onApplied = () => {} } = options
  const { manager, compared } = await compareBuckets(nats, options)
  const existing = await createMissing(manager, compared, onApplied)
  refuseLoss(
    existing.flatMap(({ changes }) => changes),
    allowLoss,
  )
  await updateStreams(manager, existing, onApplied)
  return compared.map(({ defined }) => defined.name)
}

const replicasOfDeadLetters = async (
  manager: Awaited<ReturnType<typeof jetstreamManager>>,
): Promise<number> => {
  const stream = await streamTaking(manager, deadLetterSubjects)
  return (await manager.streams.info(stream)).config.num_replicas
}
