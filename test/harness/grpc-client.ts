import { fileURLToPath } from 'node:url'
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type StatusObject,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Fields } from './raw-client.ts'

/** Built from the .proto alone, without confab's code. */
const proto = fileURLToPath(new URL('../../src/edge/transports/grpc/confab.proto', import.meta.url))
const definition = loadPackageDefinition(loadSync(proto, { longs: Number, oneofs: true, arrays: true }))
const { Confab } = (definition.confab as Fields).v1 as { Confab: ServiceClientConstructor }

interface Waiter {
  readonly matches: (frame: Fields) => boolean
  readonly resolve: (frame: Fields) => void
}

export interface GrpcClientOptions {
  /** In the metadata. */
  readonly token?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly patienceMs?: number
  /** Default: without TLS. */
  readonly tls?: ChannelCredentials
}

/** A call of `Session` by a stock client, with all received frames. */
export class GrpcClient {
  readonly frames: Fields[] = []
  readonly ended: Promise<StatusObject>
  readonly call: ClientDuplexStream<Fields, Fields>
  readonly #patienceMs: number
  readonly #waiters = new Set<Waiter>()
  #next = 1

  constructor(port: number, { token, metadata = {}, patienceMs = 10_000, tls }: GrpcClientOptions = {}) {
    this.#patienceMs = patienceMs
    const client = new Confab(
      `${tls === undefined ? '127.0.0.1' : 'localhost'}:${port}`,
      tls ?? credentials.createInsecure(),
      {
        // Each client has a connection of its own.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': -1,
      },
    )
    const headers = new Metadata()
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    for (const [name, value] of Object.entries(metadata)) headers.set(name, value)
    this.call = client.Session!(headers) as ClientDuplexStream<Fields, Fields>
    this.call.on('data', (frame: Fields) => {
      this.frames.push(frame)
      for (const waiter of this.#waiters) if (waiter.matches(frame)) waiter.resolve(frame)
    })
    this.call.on('error', () => {})
    this.ended = new Promise(resolve => {
      this.call.on('status', status => {
        client.close()
        resolve(status)
      })
    })
  }

  /** Sends a request with a new id; returns its answer. */
  async request(t: string, fields: Fields = {}): Promise<Fields> {
    const id = `r${this.#next++}`
    const answer = this.find(({ answer }) => (answer as Fields | undefined)?.re === id)
    this.call.write({ id, [t]: fields })
    return (await answer).answer as Fields
  }

  /** As `request`; throws when it is refused. */
  async ok(t: string, fields: Fields = {}): Promise<Fields> {
    const answer = await this.request(t, fields)
    if (answer.error !== undefined && answer.error !== null)
      throw new Error(`${t} was refused: ${JSON.stringify(answer.error)}`)
    return answer
  }

  /** As `request`; returns the code of the error, or `ok`. */
  async code(t: string, fields: Fields = {}): Promise<unknown> {
    return ((await this.request(t, fields)).error as Fields | null | undefined)?.code ?? 'ok'
  }

  /** Resolves with the first matching frame, past or future. */
  find(matches: (frame: Fields) => boolean): Promise<Fields> {
    const found = this.frames.find(matches)
    if (found !== undefined) return Promise.resolve(found)
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
      }
      const fail = (why: string): void => {
        done()
        reject(new Error(`no such frame: ${why}; came: ${JSON.stringify(this.frames.slice(-5))}`))
      }
      const timer = setTimeout(() => fail(`within ${this.#patienceMs} ms`), this.#patienceMs)
      const waiter: Waiter = {
        matches,
        resolve: frame => {
          done()
          resolve(frame)
        },
      }
      this.#waiters.add(waiter)
      void this.ended.then(({ code, details }) => fail(`ended with ${code} ${details}`))
    })
  }

  /** Resolves with an event of a conversation, past or future. */
  async event(c: string, seq: number): Promise<Fields> {
    const { event } = await this.find(frame => {
      const event = frame.event as Fields | undefined
      return event?.c === c && event.seq === seq
    })
    return event as Fields
  }

  /** Returns the seqs of a conversation's events, in order of arrival. */
  seqs(c: string): number[] {
    return this.frames.flatMap(({ event }) => {
      const { c: of, seq } = (event ?? {}) as Fields
      return of === c ? [seq as number] : []
    })
  }

  close(): void {
    this.call.cancel()
  }
}
