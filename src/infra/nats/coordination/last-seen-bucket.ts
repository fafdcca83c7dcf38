import type { LastSeenStore } from '../../../edge/ports/last-seen-store.ts'
import { fnv1a32 } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isBucketConflict, openBucket } from './kv-bucket.ts'

const bucket = 'confab-last-seen'
const timeout = 3_000
/** Users are in as many values: one a user would cost the server's memory as much for each as the value itself many times over. */
const keyCount = 65_536
/** Values that are read and written at the same time. */
const atOnce = 64
/** Times that other processes may be quicker. */
const tries = 10

/** User to seconds since 1970. */
type Value = Record<string, number>

const keyOf = (user: string): string => String(fnv1a32(user) % keyCount)

const byKey = <T>(users: Iterable<T>, userOf: (one: T) => string): [string, T[]][] => {
  const found = new Map<string, T[]>()
  for (const one of users) {
    const key = keyOf(userOf(one))
    const others = found.get(key)
    if (others === undefined) found.set(key, [one])
    else others.push(one)
  }
  return [...found]
}

const forEachOf = async <T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> => {
  for (let at = 0; at < items.length; at += atOnce)
    await Promise.all(items.slice(at, at + atOnce).map(item => use(item)))
}

/**
 * When users were last here, in a key-value bucket of JetStream, for `keepMs`. `replicas`: its copies; not given, as many as the dead letters have. Throws NatsError.
 */
export const openLastSeenBucket = async (
  nats: Nats,
  { keepMs, replicas }: { readonly keepMs: number; readonly replicas?: number | undefined },
): Promise<LastSeenStore> => {
  const kv = await openBucket(nats, { bucket, storage: 'file', history: 1, replicas, timeout })
  const checkConnected = (): void => {
    // nats.js would keep a request for the next connection.
    if (!nats.connected()) throw new NatsError(NatsProblem.failed, 'NATS is not connected')
  }
  const oldest = (): number => (Date.now() - keepMs) / 1000

  /** Also lets go whom nobody has seen for too long. */
  const merge = async (key: string, seen: readonly (readonly [string, number])[]): Promise<void> => {
    for (let left = tries; ; left--) {
      const entry = await kv.get(key)
      const before = entry?.operation === 'PUT' ? entry.json<Value>() : {}
      const value = new Map(Object.entries(before).filter(([, at]) => at > oldest()))
      for (const [user, at] of seen) value.set(user, Math.max(value.get(user) ?? 0, Math.floor(at / 1000)))
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
      checkConnected()
      await forEachOf(
        byKey(seen, ([user]) => user),
        ([key, some]) => merge(key, some),
      )
    },
    of: async users => {
      checkConnected()
      const found = new Map<string, number>()
      await forEachOf(
        byKey(users, user => user),
        async ([key, some]) => {
          const entry = await kv.get(key)
          if (entry?.operation !== 'PUT') return
          const value = entry.json<Value>()
          for (const user of some) {
            const at = Object.hasOwn(value, user) ? value[user]! : 0
            if (at > oldest()) found.set(user, at * 1000)
          }
        },
      )
      return found
    },
  }
}
