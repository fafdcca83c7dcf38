import type { LastSeenStore } from '../../../edge/ports/last-seen-store.ts'
import { fnv1a32 } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { Bucket } from './buckets.ts'
import { checkConnected, isBucketConflict, openBucket } from './kv-bucket.ts'

const timeout = 3_000
/**
 * Number of keys. Each value holds many users: with one key for each user, keys would take most of the server's memory.
 */
const keyCount = 65_536
/** Values that are read and written concurrently. */
const concurrency = 64
/** Attempts to replace a value that other processes replace too. */
const attempts = 10

/** User to seconds since 1970. */
type Value = Record<string, number>

const keyOf = (user: string): string => String(fnv1a32(user) % keyCount)

const groupByKey = <T>(items: Iterable<T>, userOf: (item: T) => string): [string, T[]][] => {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(userOf(item))
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return [...groups]
}

const forEachOf = async <T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> => {
  for (let at = 0; at < items.length; at += concurrency)
    await Promise.all(items.slice(at, at + concurrency).map(item => use(item)))
}

/**
 * Opens the store of last-seen times, a key-value bucket of JetStream. Times expire after `keepMs`. `replicas` default
 * to those of the dead letters. Throws NatsError.
 */
export const openLastSeenBucket = async (
  nats: Nats,
  { keepMs, replicas }: { readonly keepMs: number; readonly replicas?: number | undefined },
): Promise<LastSeenStore> => {
  const kv = await openBucket(nats, { ...Bucket.lastSeen, replicas, timeout })
  const oldest = (): number => (Date.now() - keepMs) / 1000

  /** Adds times to a value, and removes the expired ones. */
  const merge = async (key: string, seen: readonly (readonly [string, number])[]): Promise<void> => {
    for (let left = attempts; ; left--) {
      const entry = await kv.get(key)
      const before = entry?.operation === 'PUT' ? entry.json<Value>() : {}
      const value = new Map(Object.entries(before).filter(([, at]) => at > oldest()))
      const now = Date.now() / 1000
      for (const [user, ms] of seen) {
        const at = Math.floor(ms / 1000)
        const known = value.get(user) ?? 0
        // A time in the future is from a node whose clock was ahead.
        value.set(user, known > now ? at : Math.max(known, at))
      }
      try {
        await kv.put(key, JSON.stringify(Object.fromEntries(value)), { previousSeq: entry?.revision ?? 0 })
        return
      } catch (error) {
        if (!isBucketConflict(error) || left === 0) throw error
      }
    }
  }

  return {
    note: async seen => {
      checkConnected(nats)
      await forEachOf(
        groupByKey(seen, ([user]) => user),
        ([key, group]) => merge(key, group),
      )
    },
    of: async users => {
      checkConnected(nats)
      const found = new Map<string, number>()
      await forEachOf(
        groupByKey(users, user => user),
        async ([key, group]) => {
          const entry = await kv.get(key)
          if (entry?.operation !== 'PUT') return
          const value = entry.json<Value>()
          for (const user of group) {
            const at = Object.hasOwn(value, user) ? value[user]! : 0
            if (at > oldest()) found.set(user, Math.min(at * 1000, Date.now()))
          }
        },
      )
      return found
    },
  }
}
