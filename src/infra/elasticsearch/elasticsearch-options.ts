import { defaultsOf, option, type ValuesOf } from '../../base/option.ts'
import {
  days,
  duration,
  GiB,
  integer,
  KiB,
  list,
  MiB,
  minutes,
  seconds,
  size,
  text,
  textMatching,
  url,
} from '../../base/option-types.ts'
import { clientTlsOptions } from '../../base/tls-options.ts'

/** An Elasticsearch cluster for the search. */
export const elasticsearchOptions = {
  nodes: option({
    key: 'elasticsearch.nodes',
    env: 'CONFAB_ELASTICSEARCH',
    type: list(url('http', 'https')),
    secret: 'url',
    doc: 'Nodes of one cluster of Elasticsearch 9. Not given: the search is in the data folder.',
  }),
  username: option({ key: 'elasticsearch.username', type: text, doc: 'User to log in as.' }),
  password: option({ key: 'elasticsearch.password', type: text, secret: true, doc: 'Password of the user.' }),
  apiKey: option({
    key: 'elasticsearch.apiKey',
    type: text,
    secret: true,
    doc: 'API key in base64, as Elasticsearch issues it. It replaces user and password.',
  }),
  ...clientTlsOptions('elasticsearch', 'the nodes', { ca: 'elasticsearch.ca' }),
  prefix: option({
    key: 'elasticsearch.prefix',
    // Elasticsearch allows lower case only.
    type: textMatching(
      /^[a-z0-9][a-z0-9_-]{0,99}$/,
      '1 to 100 of a-z 0-9 - _, starting with a letter or digit',
    ),
    default: 'confab',
    doc: 'First part of the names of indices.',
  }),
  shards: option({
    key: 'elasticsearch.shards',
    type: integer(1, 1_024),
    default: 1,
    unit: 'shards',
    doc: 'Primary shards of a new index.',
  }),
  replicas: option({
    key: 'elasticsearch.replicas',
    type: integer(0, 10),
    unit: 'copies',
    doc: 'Copies of each shard of a new index. Not given: one where the cluster has a second node.',
  }),
  rolloverBytes: option({
    key: 'elasticsearch.rolloverSize',
    type: size(MiB, 1024 * GiB),
    default: 30 * GiB,
    doc: 'Size of an index after which a new index takes new messages.',
  }),
  rolloverMs: option({
    key: 'elasticsearch.rolloverAge',
    type: duration(minutes, 3_650 * days),
    default: 30 * days,
    doc: 'Age of an index after which a new index takes new messages.',
  }),
  retentionMs: option({
    key: 'elasticsearch.retention',
    type: duration(minutes, 36_500 * days),
    doc: 'Age after which the search drops messages, one index at a time. Not given: never.',
  }),
  bulkBytes: option({
    key: 'elasticsearch.bulk',
    type: size(64 * KiB, 64 * MiB),
    default: 256 * KiB,
    doc: 'Approximate size of one bulk request. Small requests run in parallel.',
  }),
  inFlightBytes: option({
    key: 'elasticsearch.inFlight',
    type: size(64 * KiB, GiB),
    default: 4 * MiB,
    doc: 'Bytes of bulk requests under way.',
  }),
  timeoutMs: option({
    key: 'elasticsearch.timeout',
    type: duration(seconds, 5 * minutes),
    default: 10 * seconds,
    doc: 'Time that a request waits for its answer.',
  }),
  lookMs: option({
    key: 'elasticsearch.checkEvery',
    type: duration(10, 10 * minutes),
    default: minutes,
    doc: 'Time between two checks of the indices: their sizes, and indices that other processes added.',
  }),
  leadMs: option({
    key: 'elasticsearch.leadTime',
    type: duration(10, days),
    default: 10 * minutes,
    doc: 'Time from the creation of an index to its first message. More than `elasticsearch.checkEvery` and the difference of the clocks together.',
  }),
} as const

type ElasticsearchConfig = ValuesOf<typeof elasticsearchOptions>

/** The options of a connection; those not given have their defaults. */
export interface ElasticsearchOptions extends Partial<ElasticsearchConfig> {
  readonly nodes: readonly string[]
}

/** Adds the defaults. */
export const compileOptions = (options: ElasticsearchOptions) => ({
  ...defaultsOf(elasticsearchOptions),
  ...options,
})
export type CompiledOptions = ReturnType<typeof compileOptions>
