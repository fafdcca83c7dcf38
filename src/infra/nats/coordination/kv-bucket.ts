import { jetstream, jetstreamManager, type StorageType } from '@nats-io/jetstream'
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

/** Whether a value was not replaced, because another process replaced it since it was read. */
export const isBucketConflict = (error: unknown): boolean => isSequenceConflict(apiCodeOf(error))

/** Throws NatsError without a connection. nats.js would keep the request for the next connection. */
export const checkConnected = (nats: Nats): void => {
  if (!nats.connected()) throw new NatsError(NatsProblem.failed, 'NATS is not connected')
}

export interface BucketOptions {
  readonly bucket: string
  readonly storage: `${StorageType}`
  /** Number of values that are kept for each key. */
  readonly history: number
  /** Replicas. Default: as many as the stream of dead letters has. A bucket with fewer is updated. */
  readonly replicas?: number | undefined
  /**
   * Whether values may have their own time to live. The server removes the marker of an expired value after a second.
   */
  readonly expires?: boolean
  /** Time after which a value that is not written again is removed, ms. Default: never. */
  readonly lifeMs?: number
  /** Timeout of each request on the bucket, ms. */
  readonly timeout: number
}

/**
 * Opens a key-value bucket of JetStream, and creates it when there is none. Reads go to the leader, because a replica
 * that is behind answers direct gets too. Throws NatsError.
 */
export const openBucket = ({ connection }: Nats, options: BucketOptions): Promise<KV> =>
  retryRequest(`the bucket ${options.bucket}`, async () => {
    const { bucket, storage, history, replicas, timeout, expires = false, lifeMs } = options
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: requestTimeoutMs })
    const copies = replicas ?? (await replicasOfDeadLetters(manager))
    // Creating a stream with several replicas takes longer than the requests on it.
    await new Kvm(jetstream(connection, { timeout: requestTimeoutMs })).create(bucket, {
      history,
      storage,
      replicas: copies,
      allow_direct: false,
      ...(expires ? { markerTTL: 1_000 } : {}),
      ...(lifeMs === undefined ? {} : { ttl: lifeMs }),
    })
    const { config } = await manager.streams.info(`KV_${bucket}`)
    if (config.num_replicas < copies)
      await manager.streams.update(config.name, { ...config, num_replicas: copies })
    return new Kvm(jetstream(connection, { timeout })).open(bucket, { allow_direct: false })
  })

const replicasOfDeadLetters = async (
  manager: Awaited<ReturnType<typeof jetstreamManager>>,
): Promise<number> => {
  const stream = await streamTaking(manager, deadLetterSubjects)
  return (await manager.streams.info(stream)).config.num_replicas
}
