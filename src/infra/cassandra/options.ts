/** Connection options of the views' Cassandra. */
export interface CassandraOptions {
  /** `host:port` of some nodes. The others are discovered, and must use the same port. */
  readonly contactPoints: readonly string[]
  /** The data centre that this process reads from and writes to. */
  readonly dataCenter: string
  readonly keyspace: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Whether to connect over TLS. */
  readonly tls?: boolean
  /** PEM file of the authority that signed the nodes' certificates; requires TLS. */
  readonly caFile?: string | undefined
  /** Maximum writes in flight. Default 512; beyond it a node only queues them. */
  readonly writesInFlight?: number
  /** Maximum reads in flight, of all queries together. Default 256. */
  readonly readsInFlight?: number
}
