import { JetStreamApiError, jetstream, jetstreamManager, type StorageType } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { askAgain, askWaitMs } from '../client/ask-jetstream.ts'
import type { Nats } from '../client/connection.ts'

/** The sequence is another one, or the one that makes it so is still on its way. */
const conflicts: readonly number[] = [10_071, 10_164]

export const apiCodeOf = (error: unknown): number | undefined =>
  error instanceof JetStreamApiError ? error.code : undefined

/** Whether a value was not replaced as it is no longer the one that was read. */
export const isBucketConflict = (error: unknown): boolean => conflicts.includes(apiCodeOf(error) ?? 0)

export interface BucketOptions {
  readonly bucket: string
  readonly storage: `${StorageType}`
  /** Values of a key that are kept. */
  readonly history: number
  /** Copies; not given, as many as the dead letters have. A bucket that has fewer gets them. */
  readonly replicas?: number | undefined
  /** Whether values may have a time to live of their own; what is left of one that has expired goes after a second. */
  readonly expires?: boolean
  /** Longest wait for an answer to what is asked of it, ms. */
  readonly timeout: number
}

/** A key-value bucket of JetStream, made when it is not there. Values are read at its leader: any replica answers a direct get, with what it has. Throws NatsError. */
export const openBucket = ({ connection }: Nats, options: BucketOptions): Promise<KV> =>
  askAgain(`the bucket ${options.bucket}`, async () => {
    const { bucket, storage, history, replicas, timeout, expires = false } = options
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: askWaitMs })
    const copies = replicas ?? (await manager.streams.info('DEAD_LETTERS')).config.num_replicas
    // To make a stream of several copies takes longer than what is asked of it afterwards.
    await new Kvm(jetstream(connection, { timeout: askWaitMs })).create(bucket, {
      history,
      storage,
      replicas: copies,
      allow_direct: false,
      ...(expires ? { markerTTL: 1_000 } : {}),
    })
    const { config } = await manager.streams.info(`KV_${bucket}`)
    if (config.num_replicas < copies)
      await manager.streams.update(config.name, { ...config, num_replicas: copies })
    return new Kvm(jetstream(connection, { timeout })).open(bucket, { allow_direct: false })
  })
