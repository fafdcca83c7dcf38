import type { KV } from '@nats-io/kv'
import { type LeaseStore, type LeaseTable, noLeases } from '../../../projections/index.ts'
import type { Nats } from '../client/connection.ts'
import { apiCodeOf, isBucketConflict, openBucket } from './kv-bucket.ts'

const bucket = 'confab-leases'
/** Of each request: shorter than a lease lasts. */
const timeout = 1_000
const streamNotFound = 10_059
/**
 * Lease tables in a key-value bucket of JetStream, a key a group. In memory: they are of now, and are made again when all servers have lost them. `replicas`: copies of the
 * bucket; not given, as many as the dead letters have. Throws NatsError.
 */
export const openNatsLeases = async (
  nats: Nats,
  { replicas }: { readonly replicas?: number | undefined } = {},
): Promise<LeaseStore> => {
  const open = (): Promise<KV> =>
    openBucket(nats, { bucket, storage: 'memory', history: 1, replicas, timeout })
  let kv = await open()
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
        if (apiCodeOf(error) !== streamNotFound) throw error
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
        if (isBucketConflict(error)) return false
        throw error
      }
    },
  }
}
