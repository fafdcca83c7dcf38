import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import type { PresenceListener, PresenceRecord, PresenceStore } from '../../../edge/ports/presence-store.ts'
import { Id } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck, refusalError } from '../client/publish-ack.ts'
import { rawHeaders } from '../client/raw-message.ts'
import { OrderedConsumer } from '../log/ordered-consumer.ts'
import { openBucket } from './kv-bucket.ts'

const bucket = 'confab-presence'
const stream = `KV_${bucket}`
/** Of each write: shorter than an edge lives. */
const timeout = 3_000
/** Records that may wait here before the server has to. */
const room = 2_048
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
  `$KV.${bucket}.${record.edge}.${record.of === 'edge' ? 'life' : record.shard}`

const notConnected = (): NatsError => new NatsError(NatsProblem.failed, 'NATS is not connected')

/** A message's own time to live, in whole seconds, at least one: a time that the server keeps. */
const ttlHeaders = (ttlMs: number) =>
  rawHeaders(`NATS/1.0\r\nNats-TTL: ${Math.max(1, Math.ceil(ttlMs / 1000))}s\r\n\r\n`)

/**
 * What edges say of their users, in a key-value bucket of JetStream, in memory: a key an edge, and one for each shard of its users, each with a time to live of its own.
 * Followed as a stream: nothing is asked for key by key.
 */
class PresenceBucket implements PresenceStore {
  readonly #nats: Nats
  readonly #open: () => Promise<unknown>
  readonly #unlisten: () => void
  #listener: PresenceListener | undefined
  #consumer: OrderedConsumer | undefined
  /** Sequence of the last sign of life: a lower one is of another stream, without what was in this one. */
  #beat = 0
  /** What is stored may be gone, or the bucket itself. */
  #isInDoubt = false
  /** Ends what waits for an answer when the connection has gone that it would come by. */
  #cut: (() => void) | undefined

  constructor(nats: Nats, open: () => Promise<unknown>) {
    this.#nats = nats
    this.#open = open
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#again()
      else this.#cut?.()
    })
  }

  async put(records: readonly PresenceRecord[], ttlMs: number): Promise<void> {
    // nats.js would keep it for the next connection.
    if (!this.#nats.connected()) throw notConnected()
    const isCut = new Promise<never>((_resolve, reject) => {
      this.#cut = () => reject(notConnected())
    })
    try {
      await Promise.race([isCut, this.#putAll(records, ttlMs)])
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
      this.#again()
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
    if (ack.seq < this.#beat) this.#again()
    this.#beat = ack.seq
  }

  #again(): void {
    if (this.#listener === undefined) return
    this.#listener.lost()
    void this.#read()
  }

  /** From the first record that there is. */
  async #read(): Promise<void> {
    this.#consumer?.stop()
    // Whoever reads the old one sees that it is over, also should there be no new one.
    this.#consumer = undefined
    const consumer = new OrderedConsumer(this.#nats, stream, 0, room)
    this.#consumer = consumer
    while (this.#listener !== undefined) {
      const messages = await consumer.next(batch)
      if (this.#consumer !== consumer) return
      for (const { data } of messages) this.#hear(data)
    }
  }

  /** A message without data tells that a key has expired: whoever counts on it has its own clock. */
  #hear(data: Uint8Array): void {
    if (data.length === 0) return
    let record: unknown
    try {
      record = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString())
    } catch {
      return
    }
    if (storedCheck.Check(record)) this.#listener?.heard(record satisfies Static<typeof Stored>)
  }
}

/** Makes the bucket when it is not there. `replicas`: its copies; not given, as many as the dead letters have. Throws NatsError. */
export const openPresenceBucket = async (
  nats: Nats,
  { replicas }: { readonly replicas?: number | undefined } = {},
): Promise<PresenceStore> => {
  const open = () =>
    openBucket(nats, { bucket, storage: 'memory', history: 1, replicas, timeout, expires: true })
  await open()
  return new PresenceBucket(nats, open)
}
