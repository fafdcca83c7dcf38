/** How to reach Elasticsearch, and how to keep the index. */
export interface ElasticsearchOptions {
  /** URLs of nodes of one cluster. */
  readonly nodes: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Instead of a user: an API key, base64 as Elasticsearch gives it out. */
  readonly apiKey?: string | undefined
  /** PEM file of the authority that signed the nodes' certificates. */
  readonly caFile?: string | undefined
  /** What the names of indices begin with; lower case. Default `confab`. */
  readonly prefix?: string | undefined
  /** Primary shards of an index. Default 1. */
  readonly shards?: number | undefined
  /** Copies of each shard. Default: one where there is a second node. */
  readonly replicas?: number | undefined
  /** An index that has grown over so many bytes is followed by a new one. Default 30 GiB. */
  readonly rolloverBytes?: number | undefined
  /** An index older than this, ms, is followed by a new one. Default 30 days. */
  readonly rolloverMs?: number | undefined
  /** Messages older than this, ms, are forgotten by the search, an index at a time. Default: never. */
  readonly retentionMs?: number | undefined
  /** Bytes of one bulk request, about. Default 256 KiB. */
  readonly bulkBytes?: number | undefined
  /** Bytes of bulk requests under way, at most. Default 4 MiB. */
  readonly inFlightBytes?: number | undefined
  /** Longest wait for an answer, ms. Default 10,000. */
  readonly timeoutMs?: number | undefined
  /** How often the indices are looked at, ms: how large they are, whether others have added one. Default 60,000. */
  readonly lookMs?: number | undefined
  /** How long before its first message a new index is made, ms; more than `lookMs` and the clocks' difference together. Default 600,000. */
  readonly leadMs?: number | undefined
}
const MiB = 1024 ** 2
const day = 86_400_000

/** The options with nothing left to default. */
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
