import { readFileSync } from 'node:fs'
import { auth, Client, policies, types } from 'cassandra-driver'
import { Semaphore } from '../../base/semaphore.ts'
import { toStartError, toStoreError } from './cassandra-error.ts'
import { type CassandraOptions, defaultCassandraOptions } from './options.ts'
import { RetryElsewhere, SpeculativeReads } from './policies.ts'

export type Row = Readonly<Record<string, unknown>>

/** A prepared write. It may be sent any number of times, in any order with others: what it sets is guarded by its timestamp. */
export interface Write {
  readonly query: string
  readonly params: readonly unknown[]
  /** Of its table and partition: writes of one partition travel together. */
  readonly partition: string
}

/** Writes in one batch. Few, so that what a node does in one go stays small (measured: beyond 32 nothing is gained). */
const mostInBatch = 32
const pageRows = 1_000

const { localQuorum, localSerial } = types.consistencies

/** A driver for these options, not connected yet. `keyspace`: left out to make one. */
export const driverFor = (options: CassandraOptions, keyspace?: string): Client => {
  const { username, password, caFile, timeoutMs, connectMs, speculateAfterMs } = {
    ...defaultCassandraOptions,
    ...options,
  }
  return new Client({
    contactPoints: [...options.contactPoints],
    // Nodes tell each other's addresses, not their ports: all listen on the same.
    protocolOptions: { port: Number(options.contactPoints[0]?.split(':').at(-1) ?? 9042) },
    ...(keyspace === undefined ? {} : { keyspace }),
    ...(username === undefined
      ? {}
      : { authProvider: new auth.PlainTextAuthProvider(username, password ?? '') }),
    ...(options.tls ? { sslOptions: caFile === undefined ? {} : { ca: [readFileSync(caFile)] } } : {}),
    policies: {
      // Told the policy alone: a driver that finds the data centre of its own options missing leaves its connections open.
      loadBalancing: new policies.loadBalancing.DefaultLoadBalancingPolicy({ localDc: options.dataCenter }),
      retry: new RetryElsewhere(),
      speculativeExecution: new SpeculativeReads(speculateAfterMs),
      // The driver's own goes up to 10 minutes.
      reconnection: new policies.reconnection.ExponentialReconnectionPolicy(250, 5_000, false),
    },
    queryOptions: { consistency: localQuorum, serialConsistency: localSerial, prepare: true },
    socketOptions: { readTimeout: timeoutMs, connectTimeout: connectMs },
    pooling: { heartBeatInterval: 5_000 },
    applicationName: 'confab',
  })
}

/** Left out of the driver's types. */
interface Connection {
  close(): void
}
interface ControlConnection {
  readonly connection: Connection | null
  _createConnection(address: unknown): Promise<Connection>
  shutdown(): void
}

/**
 * The connections by which a driver tries its contact points. One whose node then does not tell what the cluster is like the driver forgets without closing it:
 * its heartbeats would go on for ever, one more of them each time that somebody tries again.
 */
class FirstConnections {
  readonly #control: ControlConnection
  readonly #made = new Set<Connection>()

  constructor(client: Client) {
    this.#control = (client as unknown as { readonly controlConnection: ControlConnection }).controlConnection
    const create = this.#control._createConnection
    this.#control._createConnection = async address => {
      const connection = await create.call(this.#control, address)
      this.#made.add(connection)
      return connection
    }
  }

  /** Closes those that led to nothing. */
  settle(): void {
    for (const connection of this.#made) if (connection !== this.#control.connection) connection.close()
    this.#made.clear()
  }

  /**
   * Ends a driver that could not connect. Its own `shutdown` leaves such a one alone, and its control connection, once it notices that its socket was closed,
   * would connect again, and stay.
   */
  abandon(): void {
    this.#control.shutdown()
    for (const connection of this.#made) connection.close()
  }
}

/** Connects, and ends the driver when that fails. Rejects with CassandraError. */
export const connectDriver = async (options: CassandraOptions, keyspace?: string): Promise<Client> => {
  let first: FirstConnections | undefined
  try {
    const client = driverFor(options, keyspace)
    first = new FirstConnections(client)
    await client.connect()
    first.settle()
    return client
  } catch (error) {
    first?.abandon()
    throw toStartError(error, options.contactPoints, options.keyspace)
  }
}

/** A keyspace: prepared, token-aware, at LOCAL_QUORUM, with a bounded number of requests under way. What it throws has a code. */
export class Database {
  readonly client: Client
  readonly keyspace: string
  readonly #writes: Semaphore
  readonly #reads: Semaphore

  constructor(client: Client, options: CassandraOptions) {
    this.client = client
    this.keyspace = options.keyspace
    const { writesInFlight, readsInFlight } = { ...defaultCassandraOptions, ...options }
    this.#writes = new Semaphore(writesInFlight)
    this.#reads = new Semaphore(readsInFlight)
  }

  /** The rows of a query that has a bound, at most 5,000. */
  read(query: string, params: readonly unknown[]): Promise<readonly Row[]> {
    return this.#reads.run(async () => {
      try {
        return (await this.client.execute(query, [...params], { isIdempotent: true })).rows
      } catch (error) {
        throw toStoreError(error)
      }
    })
  }

  async one(query: string, params: readonly unknown[]): Promise<Row | undefined> {
    return (await this.read(query, params))[0]
  }

  /** The rows of a query that has none, some at a time. */
  async *pages(query: string, params: readonly unknown[], rows = pageRows): AsyncGenerator<readonly Row[]> {
    let pageState: string | undefined
    do {
      const place = pageState === undefined ? {} : { pageState }
      const page = await this.#reads.run(async () => {
        try {
          return await this.client.execute(query, [...params], {
            isIdempotent: true,
            fetchSize: rows,
            ...place,
          })
        } catch (error) {
          throw toStoreError(error)
        }
      })
      if (page.rows.length > 0) yield page.rows
      pageState = page.pageState ?? undefined
    } while (pageState !== undefined)
  }

  /** Stores all of them, in no order. Writes of one partition are sent as one unlogged batch, which is one mutation there. */
  async write(writes: readonly Write[]): Promise<void> {
    const groups = new Map<string, Write[]>()
    const batches: Write[][] = []
    for (const write of writes) {
      let group = groups.get(write.partition)
      if (group === undefined || group.length >= mostInBatch) {
        group = []
        groups.set(write.partition, group)
        batches.push(group)
      }
      group.push(write)
    }
    await this.#writes.each(batches, batch => this.#send(batch))
  }

  /**
   * Runs a conditional statement, or several of one partition; undefined when it was applied, else the row that was in the way. `isIdempotent`: whether it may be sent
   * again when its answer was lost, as its own outcome does not change its condition.
   */
  async compareAndSet(
    statements: readonly { query: string; params: readonly unknown[] }[],
    isIdempotent: boolean,
  ): Promise<Row | undefined> {
    try {
      const queries = statements.map(({ query, params }) => ({ query, params: [...params] }))
      const [first] = queries
      const result =
        queries.length === 1 && first !== undefined
          ? await this.client.execute(first.query, first.params, { isIdempotent })
          : await this.client.batch(queries, { isIdempotent, logged: false })
      return result.wasApplied() ? undefined : (result.first() ?? {})
    } catch (error) {
      throw toStoreError(error)
    }
  }

  /** A read that sees every conditional write that was answered, and ends those that were not. */
  async readSerial(query: string, params: readonly unknown[]): Promise<readonly Row[]> {
    try {
      return (await this.client.execute(query, [...params], { isIdempotent: true, consistency: localSerial }))
        .rows
    } catch (error) {
      throw toStoreError(error)
    }
  }

  async close(): Promise<void> {
    await this.client.shutdown()
  }

  async #send(batch: readonly Write[]): Promise<void> {
    try {
      const [first] = batch
      if (first === undefined) return
      if (batch.length === 1)
        await this.client.execute(first.query, first.params as unknown[], { isIdempotent: true })
      else
        await this.client.batch(batch as unknown as { query: string; params: unknown[] }[], {
          isIdempotent: true,
          logged: false,
        })
    } catch (error) {
      throw toStoreError(error)
    }
  }
}

/** A bigint column as a number; all of ours are within its exact range. 0 where there is none. */
export const numberOf = (value: unknown): number =>
  typeof value === 'number' ? value : value instanceof types.Long ? value.toNumber() : 0

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** A view's bytes as the driver takes them, not copied. */
export const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
