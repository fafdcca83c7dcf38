import { JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { type KV, Kvm } from '@nats-io/kv'
import { type LeaseStore, type LeaseTable, noLeases } from '../../projections/index.ts'
import type { Nats } from './connection.ts'
import { NatsError, NatsProblem } from './nats-error.ts'

const bucket = 'confab-leases'
/** Of each request: shorter than a lease lasts. */
const timeout = 1_000
const streamNotFound = 10_059
/** The sequence is another one, or the one that makes it so is still on its way. */
const conflicts: readonly number[] = [10_071, 10_164]

const codeOf = (error: unknown): number | undefined =>
  error instanceof JetStreamApiError ? error.code : undefined

/**
 * Lease tables in a key-value bucket of JetStream, a key a group. In memory: they are of now, and are made again when all servers have lost them. `replicas`: copies of the
 * bucket; not given, as many as the dead letters have. Throws NatsError.
 */
export const openNatsLeases = async (
  nats: Nats,
  { replicas }: { readonly replicas?: number | undefined } = {},
): Promise<LeaseStore> => {
  const { connection } = nats
  const manager = await jetstreamManager(connection, { checkAPI: false })
  const open = async (): Promise<KV> => {
    const copies = replicas ?? (await manager.streams.info('DEAD_LETTERS')).config.num_replicas
    const kv = await new Kvm(jetstream(connection, { timeout })).create(bucket, {
      history: 1,
      storage: 'memory',
      replicas: copies,
      // Any replica answers a direct get, with what it has: a lease is asked for at the leader.
      allow_direct: false,
    })
    const { config } = await manager.streams.info(`KV_${bucket}`)
    if (config.num_replicas < copies)
      await manager.streams.update(config.name, { ...config, num_replicas: copies })
    return kv
  }
  let kv: KV
  try {
    kv = await open()
  } catch (error) {
    throw new NatsError(
      NatsProblem.failed,
      `the leases of streams cannot be reached: ${String(error)}`,
      error,
    )
  }
  const checkConnected = (): void => {
    // nats.js would keep a request for the next connection.
    if (!nats.connected()) throw new Error('NATS is not connected')
  }

  return {
    read: async group => {
      checkConnected()
      try {
        const entry = await kv.get(group)
        if (entry === null) return { table: noLeases, revision: 0 }
        return { table: entry.json<LeaseTable>(), revision: entry.revision }
      } catch (error) {
        if (codeOf(error) !== streamNotFound) throw error
        kv = await open()
        return { table: noLeases, revision: 0 }
      }
    },
    replace: async (group, table, revision) => {
      checkConnected()
      try {
        await kv.put(group, JSON.stringify(table), { previousSeq: revision })
        return true
      } catch (error) {
        if (conflicts.includes(codeOf(error) ?? 0)) return false
        throw error
      }
    },
  }
}
