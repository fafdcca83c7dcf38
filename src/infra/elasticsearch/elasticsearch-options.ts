/** Connection options of Elasticsearch, and how the index is kept. */
export interface ElasticsearchOptions {
  /** URLs of nodes of one cluster. */
  readonly nodes: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** API key in place of a user, base64 as Elasticsearch returns it. */
  readonly apiKey?: string | undefined
  /** PEM file of the authority that signed the nodes' certificates. */
  readonly caFile?: string | undefined
  /** Prefix of index names; lower case. Default `confab`. */
  readonly prefix?: string | undefined
  /** Primary shards of an index. Default 1. */
  readonly shards?: number | undefined
  /** Replicas of each shard. Default: one where there is a second node. */
  readonly replicas?: number | undefined
  /** Size of an index, bytes, after which a new one is started. Default 30 GiB. */
  readonly rolloverBytes?: number | undefined
  /** Age of an index, ms, after which a new one is started. Default 30 days. */
  readonly rolloverMs?: number | undefined
  /** Age of messages, ms, after which the search forgets them, one index at a time. Default: never. */
  readonly retentionMs?: number | undefined
  /** Approximate bytes of one bulk request. Default 256 KiB. */
  readonly bulkBytes?: number | undefined
  /** Maximum bytes of bulk requests in flight. Default 4 MiB. */
  readonly inFlightBytes?: number | undefined
  /** Request timeout, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** Interval of reading the sizes and names of the indices, ms. Default 60,000. */
  readonly lookMs?: number | undefined
  /**
   * How long before its first message a new index is created, ms; more than `lookMs` plus the clocks' difference.
   * Default 600,000.
   */
  readonly leadMs?: number | undefined
}
const MiB = 1024 ** 2
const day = 86_400_000

/** Returns the options with all defaults filled in. */
export const compileOptions = (options: ElasticsearchOptions) => ({
  ...options,
  prefix: options.prefix ?? 'confab',
  shards: options.shards ?? 1,
  rolloverBytes: options.rolloverBytes ?? 30 * 1024 * MiB,
  rolloverMs: options.rolloverMs ?? 30 * day,
  bulkBytes: options.bulkBytes ?? MiB / 4,
  inFlightBytes: options.inFlightBytes ?? 4 * MiB,
  timeoutMs: options.timeoutMs ?? 10_000,
  lookMs: options.lookMs ?? 60_000,
  leadMs: options.leadMs ?? 600_000,
})
export type CompiledOptions = ReturnType<typeof compileOptions>
