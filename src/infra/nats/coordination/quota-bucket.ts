import { setTimeout as sleep } from 'node:timers/promises'
import type { QuotaCounts, QuotaStore } from '../../../edge/ports/quota-store.ts'
import { fnv1a32 } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { Bucket } from './buckets.ts'
import { checkConnected, isBucketConflict, openBucket } from './kv-bucket.ts'

const timeout = 3_000
/** Number of keys. Each value holds many users, as in the bucket of last-seen times. */
const keyCount = 65_536
/** Values that are read and written concurrently. */
const concurrency = 32
/** Attempts to replace a value that other processes replace too. */
const attempts = 20

/** The day and the counts of each user. */
type Value = Record<string, readonly [day: number, ...counts: number[]]>

const keyOf = (user: string): string => String(fnv1a32(user) % keyCount)

const sum = (stored: QuotaCounts, added: QuotaCounts): number[] =>
  added.map((count, index) => Math.max(0, (stored[index] ?? 0) + count))

/** Opens the counts of quotas, a key-value bucket of JetStream. Throws NatsError. */
export const openQuotaBucket = async (
  nats: Nats,
  { replicas }: { readonly replicas?: number | undefined } = {},
): Promise<QuotaStore> => {
  const kv = await openBucket(nats, { ...Bucket.quotas, replicas, timeout })

  /** Adds the counts of the users of one key, and returns their totals. */
  const addTo = async (
    key: string,
    day: number,
    counts: readonly (readonly [string, QuotaCounts])[],
  ): Promise<readonly (readonly [string, QuotaCounts])[]> => {
    for (let left = attempts; ; left--) {
      const entry = await kv.get(key)
      const before = entry?.operation === 'PUT' ? entry.json<Value>() : {}
      const value = new Map(Object.entries(before).filter(([, [stored]]) => stored >= day))
      const totals: [string, QuotaCounts][] = []
      for (const [user, added] of counts) {
        const [storedDay = day, ...stored] = value.get(user) ?? []
        if (storedDay > day) continue
        const total = sum(stored, added)
        totals.push([user, total])
        value.set(user, [day, ...total])
      }
      if (counts.every(([, added]) => added.every(count => count === 0))) return totals
      try {
        const text = JSON.stringify(Object.fromEntries(value))
        await kv.put(key, text, { previousSeq: entry?.revision ?? 0 })
        return totals
      } catch (error) {
        if (!isBucketConflict(error) || left === 0) throw error
        await sleep(Math.random() * 20)
      }
    }
  }

  return {
    add: async (day, counts) => {
      checkConnected(nats)
      const groups = Object.entries(Object.groupBy(counts, ([user]) => keyOf(user)))
      const totals = new Map<string, QuotaCounts>()
      for (let at = 0; at < groups.length; at += concurrency)
        await Promise.all(
          groups.slice(at, at + concurrency).map(async ([key, group = []]) => {
            for (const [user, total] of await addTo(key, day, group)) totals.set(user, total)
          }),
        )
      return totals
    },
  }
}
