import { jetstream, jetstreamManager } from '@nats-io/jetstream'
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
import { Bucket, type BucketDefinition, bucketStream } from './buckets.ts'

/** Whether a value was not replaced, because another process replaced it since it was read. */
export const isBucketConflict = (error: unknown): boolean => isSequenceConflict(apiCodeOf(error))

/** Throws NatsError without a connection. nats.js would keep the request for the next connection. */
export const checkConnected = (nats: Nats): void => {
  if (!nats.connected()) throw new NatsError(NatsProblem.failed, 'NATS is not connected')
}

export interface BucketOptions extends BucketDefinition {
  /** Replicas. Default: as many as the stream of dead letters has. A bucket with fewer is updated. */
  readonly replicas?: number | undefined
  /** Timeout of each request on the bucket, ms. */
  readonly timeout: number
}

/**
 * Opens a key-value bucket of JetStream, and creates it when there is none. Reads go to the leader, because a replica
 * that is behind answers direct gets too. Throws NatsError.
 */
export const openBucket = ({ connection }: Nats, options: BucketOptions): Promise<KV> =>
  retryRequest(`the bucket ${options.bucket}`, async () => {
    const { bucket, storage, history, replicas, timeout, expires = false, keepMs = 0 } = options
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: requestTimeoutMs })
    const copies = replicas ?? (await replicasOfDeadLetters(manager))
    // Creating a stream with several replicas takes longer than the requests on it.
    await new Kvm(jetstream(connection, { timeout: requestTimeoutMs })).create(bucket, {
      history,
      storage,
      replicas: copies,
      allow_direct: false,
      ...(expires ? { markerTTL: 1_000 } : {}),
      ...(keepMs > 0 ? { ttl: keepMs } : {}),
    })
    const { config } = await manager.streams.info(bucketStream(options))
    const isKeptTooShort = keepMs > 0 && config.max_age > 0 && config.max_age < keepMs * 1e6
    // A message with the header Nats-Rollup would remove all keys. Keys that expire need it.
    const hasRollup = config.allow_rollup_hdrs && !expires
    if (config.num_replicas < copies || isKeptTooShort || hasRollup)
      await manager.streams.update(config.name, {
        ...config,
        num_replicas: Math.max(copies, config.num_replicas),
        max_age: isKeptTooShort ? keepMs * 1e6 : config.max_age,
        allow_rollup_hdrs: expires,
      })
    return new Kvm(jetstream(connection, { timeout })).open(bucket, { allow_direct: false })
  })

/**
 * Creates the buckets that do not exist, for processes that may not do so. A server that is in no cluster loses buckets
 * in memory when it restarts: there, all of them are on disk. Returns the names of their streams. Throws NatsError.
 */
export const applyBuckets = async (
  nats: Nats,
  { replicas, revocationsMs }: { readonly replicas?: number | undefined; readonly revocationsMs: number },
): Promise<readonly string[]> => {
  const isClustered = nats.connection.info?.cluster !== undefined
  const definitions = Object.values({
    ...Bucket,
    revocations: { ...Bucket.revocations, keepMs: revocationsMs },
  })
  for (const definition of definitions)
    await openBucket(nats, {
      ...definition,
      storage: isClustered ? definition.storage : 'file',
      replicas,
      timeout: requestTimeoutMs,
    })
  return definitions.map(bucketStream)
}

const replicasOfDeadLetters = async (
  manager: Awaited<ReturnType<typeof jetstreamManager>>,
): Promise<number> => {
  const stream = await streamTaking(manager, deadLetterSubjects)
  return (await manager.streams.info(stream)).config.num_replicas
}
