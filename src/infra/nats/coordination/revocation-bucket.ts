import type { KV } from '@nats-io/kv'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { Revocation, RevocationStore, StoredRevocation } from '../../../edge/ports/revocation-store.ts'
import { checkedId, Id } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { OrderedConsumer } from '../log/ordered-consumer.ts'
import { toStoredEvent } from '../log/stored-message.ts'
import { checkConnected, isBucketConflict, openBucket } from './kv-bucket.ts'

const bucket = 'confab-revocations'
const timeout = 3_000
const maxQueued = 2_048
const batch = 512
/** Attempts to replace a value that other processes replace too. */
const attempts = 10
/** Silence of the server after which a node counts as not receiving revocations, ms. The server sends more often. */
const currentMs = 6_000

const Before = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
const Stored = Type.Union([
  Type.Object({ of: Type.Literal('user'), user: Id, before: Before, at: Before }),
  Type.Object({ of: Type.Literal('token'), user: Id, token: Id, at: Before }),
  Type.Object({ of: Type.Literal('everyone'), before: Before, at: Before }),
])
const storedCheck = TypeCompiler.Compile(Stored)

/** Returns the key of a revocation. Throws InvalidNameError. */
export const revocationKey = (revocation: Revocation): string =>
  revocation.of === 'user'
    ? `user.${checkedId(revocation.user)}`
    : revocation.of === 'token'
      ? `token.${checkedId(revocation.user)}.${checkedId(revocation.token)}`
      : 'everyone'

const parse = (data: Uint8Array): Static<typeof Stored> | undefined => {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(data))
    return storedCheck.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * The revocations of a system, in a key-value bucket of JetStream on disk, with one key for each revoked user and
 * token. The bucket drops each after the longest lifetime of a token. This process follows the bucket as a stream.
 */
class RevocationBucket implements RevocationStore {
  readonly keepMs: number
  readonly #nats: Nats
  readonly #kv: KV
  #consumer: OrderedConsumer | undefined

  constructor(nats: Nats, kv: KV, keepMs: number) {
    this.#nats = nats
    this.#kv = kv
    this.keepMs = keepMs
  }

  get isCurrent(): boolean {
    return this.#consumer !== undefined && this.#consumer.silentMs < currentMs
  }

  async put(revocation: Revocation): Promise<void> {
    checkConnected(this.#nats)
    const key = revocationKey(revocation)
    for (let left = attempts; ; left--) {
      const entry = await this.#kv.get(key)
      const known = entry?.operation === 'PUT' ? parse(entry.value) : undefined
      // An earlier revocation must not lose what it covers.
      const before = Math.max(
        'before' in revocation ? revocation.before : 0,
        known !== undefined && 'before' in known ? known.before : 0,
      )
      const stored = { ...revocation, ...('before' in revocation ? { before } : {}), at: Date.now() }
      try {
        await this.#kv.put(key, JSON.stringify(stored), { previousSeq: entry?.revision ?? 0 })
        return
      } catch (error) {
        if (!isBucketConflict(error) || left === 0) throw error
      }
    }
  }

  follow(listener: (revocation: StoredRevocation) => void): Promise<void> {
    const consumer = new OrderedConsumer(this.#nats, `KV_${bucket}`, 0, maxQueued, toStoredEvent)
    this.#consumer = consumer
    return new Promise(resolve => void this.#read(consumer, listener, resolve))
  }

  close(): void {
    this.#consumer?.stop()
    this.#consumer = undefined
  }

  /** Never rejects. `onEnd` is called whenever the end of the stream is reached. */
  async #read(
    consumer: OrderedConsumer,
    listener: (revocation: StoredRevocation) => void,
    onEnd: () => void,
  ): Promise<void> {
    for (;;) {
      const messages = await consumer.next(batch)
      if (this.#consumer !== consumer) {
        onEnd()
        return
      }
      if (messages.length === 0) onEnd()
      for (const { data } of messages) {
        const revocation = parse(data)
        if (revocation === undefined) continue
        try {
          listener(revocation)
        } catch (error) {
          this.#nats.listenerFailed(error, 'revocations')
        }
      }
    }
  }
}

/**
 * Opens the revocations, and creates their bucket when there is none. `keepMs`: the longest lifetime of a token; a
 * bucket that keeps revocations for less is updated. `replicas` default to those of the dead letters. Throws NatsError.
 */
export const openRevocationBucket = async (
  nats: Nats,
  { keepMs, replicas }: { readonly keepMs: number; readonly replicas?: number | undefined },
): Promise<RevocationStore> =>
  new RevocationBucket(
    nats,
    await openBucket(nats, { bucket, storage: 'file', history: 1, replicas, timeout, keepMs }),
    keepMs,
  )
