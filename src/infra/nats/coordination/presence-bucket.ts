import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { PresenceListener, PresenceRecord, PresenceStore } from '../../../edge/ports/presence-store.ts'
import { Id, subjectToken } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { rawHeaders } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck, refusalError } from '../client/publish-ack.ts'
import { OrderedConsumer } from '../log/ordered-consumer.ts'
import { toStoredEvent } from '../log/stored-message.ts'
import { checkConnected, openBucket } from './kv-bucket.ts'

const bucket = 'confab-presence'
const stream = `KV_${bucket}`
/** Timeout of each write, ms: shorter than the lifetime of an edge's record. */
const timeout = 3_000
/** Records that this process queues before the server has to wait. */
const maxQueued = 2_048
const batch = 512

const Stored = Type.Union([
  Type.Object({ of: Type.Literal('edge'), edge: Id, ttlMs: Type.Integer({ minimum: 0 }) }),
  Type.Object({
    of: Type.Literal('users'),
    edge: Id,
    shard: Type.Integer({ minimum: 0 }),
    users: Type.String(),
  }),
])
const storedCheck = TypeCompiler.Compile(Stored)

const subjectOfRecord = (record: PresenceRecord): string =>
  `$KV.${bucket}.${subjectToken(record.edge)}.${record.of === 'edge' ? 'life' : subjectToken(String(record.shard))}`

/** Headers with the message's own time to live, in whole seconds, at least one. */
const ttlHeaders = (ttlMs: number) =>
  rawHeaders(`NATS/1.0\r\nNats-TTL: ${Math.max(1, Math.ceil(ttlMs / 1000))}s\r\n\r\n`)

/**
 * The presence records of all edge nodes, in a key-value bucket of JetStream in memory. Each edge has one key, and each
 * shard of its users another, with a time to live of its own. This process follows the bucket as a stream.
 */
class PresenceBucket implements PresenceStore {
  readonly #nats: Nats
  readonly #open: () => Promise<unknown>
  readonly #unlisten: () => void
  #listener: PresenceListener | undefined
  #consumer: OrderedConsumer | undefined
  /** Sequence of this edge's last heartbeat. A lower one shows that the bucket was created again, empty. */
  #heartbeatSeq = 0
  /** Whether stored records, or the bucket itself, may be lost. */
  #isInDoubt = false
  /** Rejects the write in progress after a disconnect: its answer cannot arrive. */
  #rejectWrite: (() => void) | undefined

  constructor(nats: Nats, open: () => Promise<unknown>) {
    this.#nats = nats
    this.#open = open
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#restart()
      else this.#rejectWrite?.()
    })
  }

  async put(records: readonly PresenceRecord[], ttlMs: number): Promise<void> {
    checkConnected(this.#nats)
    const disconnected = new Promise<never>((_resolve, reject) => {
      this.#rejectWrite = () => reject(new NatsError(NatsProblem.failed, 'NATS is not connected'))
    })
    try {
      await Promise.race([disconnected, this.#putAll(records, ttlMs)])
    } catch (error) {
      this.#isInDoubt = true
      throw error
    }
  }

  follow(listener: PresenceListener): void {
    this.#listener = listener
    void this.#read()
  }

  close(): void {
    this.#unlisten()
    this.#listener = undefined
    this.#consumer?.stop()
  }

  async #putAll(records: readonly PresenceRecord[], ttlMs: number): Promise<void> {
    if (this.#isInDoubt) {
      await this.#open()
      this.#isInDoubt = false
      this.#restart()
    }
    const headers = ttlHeaders(ttlMs)
    await Promise.all(records.map(record => this.#store(record, headers)))
  }

  async #store(record: PresenceRecord, headers: ReturnType<typeof ttlHeaders>): Promise<void> {
    const data = JSON.stringify(record)
    const ack = readAck(
      await this.#nats.connection.request(subjectOfRecord(record), data, { timeout, headers }),
    )
    if (isRefusal(ack)) throw refusalError(ack)
    if (record.of !== 'edge') return
    if (ack.seq < this.#heartbeatSeq) this.#restart()
    this.#heartbeatSeq = ack.seq
  }

  #restart(): void {
    if (this.#listener === undefined) return
    this.#notify(listener => listener.lost())
    void this.#read()
  }

  /** Reads the bucket from its first record. Never rejects. */
  async #read(): Promise<void> {
    this.#consumer?.stop()
    // The previous `#read` ends when it finds another consumer here, or none.
    this.#consumer = undefined
    const consumer = new OrderedConsumer(this.#nats, stream, 0, maxQueued, toStoredEvent)
    this.#consumer = consumer
    while (this.#listener !== undefined) {
      const messages = await consumer.next(batch)
      if (this.#consumer !== consumer) return
      for (const { data } of messages) this.#receive(data)
    }
  }

  /** Ignores messages without data: they mark expired keys, and edges expire records by their own clock. */
  #receive(data: Uint8Array): void {
    if (data.length === 0) return
    let record: unknown
    try {
      record = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString())
    } catch {
      return
    }
    if (storedCheck.Check(record))
      this.#notify(listener => listener.heard(record satisfies Static<typeof Stored>))
  }

  /** An error of the listener does not end the reader. */
  #notify(call: (listener: PresenceListener) => void): void {
    try {
      if (this.#listener !== undefined) call(this.#listener)
    } catch (error) {
      this.#nats.listenerFailed(error, 'presence records')
    }
  }
}

/**
 * Opens the presence store, and creates its bucket when there is none. `replicas` default to those of the dead letters.
 * Throws NatsError.
 */
export const openPresenceBucket = async (
  nats: Nats,
  { replicas }: { readonly replicas?: number | undefined } = {},
): Promise<PresenceStore> => {
  const open = () =>
    openBucket(nats, { bucket, storage: 'memory', history: 1, replicas, timeout, expires: true })
  await open()
  return new PresenceBucket(nats, open)
}
