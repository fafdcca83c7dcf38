import { auth, Client, policies, types } from 'cassandra-driver'
import { Semaphore } from '../../base/semaphore.ts'
import { readTlsFiles } from '../../base/tls-files.ts'
import { toStartError, toStoreError } from './cassandra-error.ts'
import { type CassandraOptions, defaultCassandraOptions } from './options.ts'
import { RetryElsewhere, SpeculativeReads } from './policies.ts'

export type Row = Readonly<Record<string, unknown>>

/** A prepared write. It may be repeated, in any order with others: its timestamp guards what it sets. */
export interface Write {
  readonly query: string
  readonly params: readonly unknown[]
  /** Table and partition. Writes of one partition are sent in one batch. */
  readonly partition: string
}

/**
 * Maximum writes per batch. More than 32 brought no further gain when measured, and small batches keep a node
 * responsive.
 */
const mostInBatch = 32
const pageRows = 1_000

const { localQuorum, localSerial } = types.consistencies

/** The driver's TLS options; none where the connections are in clear text. Throws TlsError. */
const tlsOf = (options: CassandraOptions) => {
  const { certificates, ...tls } = readTlsFiles('cassandra', options)
  return options.tls || certificates.length > 0 ? { sslOptions: { ...tls, rejectUnauthorized: true } } : {}
}

/** Creates a driver that is not connected yet. `keyspace`: omit to create one. Throws TlsError. */
export const driverFor = (options: CassandraOptions, keyspace?: string): Client => {
  const { username, password, timeoutMs, connectMs, speculateAfterMs } = {
    ...defaultCassandraOptions,
    ...options,
  }
  return new Client({
    contactPoints: [...options.contactPoints],
    // Nodes announce their addresses but not their ports, so all must use the same port.
    protocolOptions: { port: Number(options.contactPoints[0]?.split(':').at(-1) ?? 9042) },
    ...(keyspace === undefined ? {} : { keyspace }),
    ...(username === undefined
      ? {}
      : { authProvider: new auth.PlainTextAuthProvider(username, password ?? '') }),
    ...tlsOf(options),
    policies: {
      // Set on the policy only: a driver whose own `localDataCenter` is missing in the cluster leaves its connections
      // open.
      loadBalancing: new policies.loadBalancing.DefaultLoadBalancingPolicy({ localDc: options.dataCenter }),
      retry: new RetryElsewhere(),
      speculativeExecution: new SpeculativeReads(speculateAfterMs),
      // The driver's default waits up to 10 minutes.
      reconnection: new policies.reconnection.ExponentialReconnectionPolicy(250, 5_000, false),
    },
    queryOptions: { consistency: localQuorum, serialConsistency: localSerial, prepare: true },
    socketOptions: { readTimeout: timeoutMs, connectTimeout: connectMs },
    pooling: { heartBeatInterval: 5_000 },
    applicationName: 'confab',
  })
}

/** Missing in the driver's types. */
interface Connection {
  close(): void
}
interface ControlConnection {
  readonly connection: Connection | null
  _createConnection(address: unknown): Promise<Connection>
  shutdown(): void
}

/**
 * Tracks the connections that a driver opens to its contact points. When such a node fails to describe the cluster,
 * the driver forgets the connection without closing it, and its heartbeats would continue for ever: one leaked
 * connection per attempt.
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

  /** Closes the connections that the driver did not keep. */
  settle(): void {
    for (const connection of this.#made) if (connection !== this.#control.connection) connection.close()
    this.#made.clear()
  }

  /**
   * Shuts down a driver that could not connect. The driver's own `shutdown` ignores such a driver, and its control
   * connection would reconnect and stay.
   */
  abandon(): void {
    this.#control.shutdown()
    for (const connection of this.#made) connection.close()
  }
}

/** Connects; shuts the driver down when that fails. Rejects with CassandraError. */
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

/**
 * A keyspace: prepared statements, token-aware routing, LOCAL_QUORUM, a bounded number of requests in flight. Its
 * errors carry codes.
 */
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

  /** Returns the rows of a bounded query, at most 5,000. */
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

  /** Yields the rows of an unbounded query in pages. */
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

  /**
   * Stores all writes, in no order. Writes of one partition are sent as one unlogged batch, which the node applies as
   * one mutation.
   */
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
   * Runs a conditional statement, or several of one partition. Resolves with undefined when it was applied, else with
   * the row that failed the condition. `isIdempotent`: whether it may be repeated after a lost answer, because its
   * own effect does not change its condition.
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

  /** Reads at SERIAL: sees every acknowledged conditional write and completes unfinished ones. */
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

/** Returns a bigint column as a number; all values of confab are in the exact range. 0 for null. */
export const numberOf = (value: unknown): number =>
  typeof value === 'number' ? value : value instanceof types.Long ? value.toNumber() : 0

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** Wraps bytes for the driver without a copy. */
export const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
