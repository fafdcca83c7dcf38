import { Client, SniffingTransport } from '@elastic/elasticsearch'
import { backoffMs } from '../../base/backoff.ts'
import { readTlsFiles } from '../../base/tls-files.ts'
import { ElasticsearchError, ElasticsearchProblem, named } from './elasticsearch-error.ts'
import type { CompiledOptions } from './elasticsearch-options.ts'

/** The oldest major version that the client supports. */
const oldestMajor = 9

const authOf = ({ apiKey, username, password }: CompiledOptions) =>
  apiKey !== undefined
    ? { auth: { apiKey } }
    : username !== undefined
      ? { auth: { username, password: password ?? '' } }
      : {}

const requestBackoff = { firstMs: 50, maxMs: 1_600, jitter: 0 }

/**
 * Retries quickly: the client's own waits of seconds are too long for queries, and writers have a retry of their own.
 */
class QuickTransport extends SniffingTransport {
  constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
    // Seconds.
    super({
      ...options,
      retryBackoff: (_least, _most, attempt) => backoffMs(attempt + 1, requestBackoff) / 1000,
    })
  }
}

/** Creates a client without connecting. Throws TlsError. */
export const connect = (options: CompiledOptions): Client => {
  const { certificates, ...tls } = readTlsFiles('elasticsearch', options)
  return new Client({
    nodes: [...options.nodes],
    ...authOf(options),
    ...(certificates.length === 0 ? {} : { tls }),
    requestTimeout: options.timeoutMs,
    // All requests are idempotent: documents are versioned.
    maxRetries: 2,
    Transport: QuickTransport,
    name: 'confab',
  })
}

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
