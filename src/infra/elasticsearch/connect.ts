import { readFileSync } from 'node:fs'
import { Client, SniffingTransport } from '@elastic/elasticsearch'
import { ElasticsearchError, ElasticsearchProblem, named } from './elasticsearch-error.ts'

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

/** The oldest major version that the client supports. */
const oldestMajor = 9

const authOf = ({ apiKey, username, password }: CompiledOptions) =>
  apiKey !== undefined
    ? { auth: { apiKey } }
    : username !== undefined
      ? { auth: { username, password: password ?? '' } }
      : {}

/**
 * Retries quickly: the client's own waits of seconds are too long for queries, and writers have a retry of their own.
 */
class QuickTransport extends SniffingTransport {
  constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
    // Seconds.
    super({ ...options, retryBackoff: (_least, _most, attempt) => 0.05 * 2 ** attempt })
  }
}

/** Creates a client without connecting. Throws when the authority's file cannot be read. */
export const connect = (options: CompiledOptions): Client =>
  new Client({
    nodes: [...options.nodes],
    ...authOf(options),
    ...(options.caFile === undefined ? {} : { tls: { ca: readFileSync(options.caFile) } }),
    requestTimeout: options.timeoutMs,
    // All requests are idempotent: documents are versioned.
    maxRetries: 2,
    Transport: QuickTransport,
    name: 'confab',
  })

/** Rejects with ElasticsearchError when no node answers, the credentials are refused, or a node is too old. */
export const checkServer = (client: Client): Promise<void> =>
  named(async () => {
    const { nodes } = await client.nodes.info({ filter_path: 'nodes.*.name,nodes.*.version' })
    for (const { name, version } of Object.values(nodes))
      if (Number(version.split('.')[0]) < oldestMajor)
        throw new ElasticsearchError(
          ElasticsearchProblem.tooOld,
          `node ${name} is ${version}, confab needs ${oldestMajor}.0 or later`,
        )
  })
