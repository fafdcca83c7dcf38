/** Where the views' Cassandra is. */
export interface CassandraOptions {
  /** `host:port` of some of its nodes, all of one port: the others are found through them, and are spoken to on it too. */
  readonly contactPoints: readonly string[]
  /** The data centre that this process reads from and writes to. */
  readonly dataCenter: string
  readonly keyspace: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Whether the nodes are spoken to over TLS. */
  readonly tls?: boolean
  /** PEM file of the authority that signed their certificates; with TLS. */
  readonly caFile?: string | undefined
  /** Writes under way at once, at most. Default 512: beyond it a node only queues. */
  readonly writesInFlight?: number
  /** Reads under way at once, at most, of all queries together. Default 256. */
  readonly readsInFlight?: number
}
