import { readFileSync } from 'node:fs'
import { Client, SniffingTransport } from '@elastic/elasticsearch'
import { ElasticsearchError, ElasticsearchProblem, named } from './elasticsearch-error.ts'
import type { CompiledOptions } from './elasticsearch-options.ts'

/** The oldest major version that the client speaks with. */
const oldestMajor = 9

const authOf = ({ apiKey, username, password }: CompiledOptions) =>
  apiKey !== undefined
    ? { auth: { apiKey } }
    : username !== undefined
      ? { auth: { username, password: password ?? '' } }
      : {}

/** Tries again soon: the client's own waits of seconds are too long for who waits for an answer, and who writes has its own. */
class QuickTransport extends SniffingTransport {
  constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
    // Seconds.
    super({ ...options, retryBackoff: (_least, _most, attempt) => 0.05 * 2 ** attempt })
  }
}

/** A client of the cluster. Asks nothing of it. Throws when the file of the authority can't be read. */
export const connect = (options: CompiledOptions): Client =>
  new Client({
    nodes: [...options.nodes],
    ...authOf(options),
    ...(options.caFile === undefined ? {} : { tls: { ca: readFileSync(options.caFile) } }),
    requestTimeout: options.timeoutMs,
    // All that is asked may be asked again: documents have versions.
    maxRetries: 2,
    Transport: QuickTransport,
    name: 'confab',
  })

/** Rejects with ElasticsearchError when no node answers, the credentials do not do, or a node is too old. */
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
