import { resolve } from 'node:path'
import type { Option } from './options.ts'
import { duration, integer, list, type Parse, size, text, url, ValueError } from './values.ts'

const MiB = 1024 ** 2
const GiB = 1024 ** 3
const seconds = 1_000
const minutes = 60_000
const days = 24 * 60 * minutes

/** What Elasticsearch takes for the beginning of an index's name. */
const prefix: Parse<string> = (raw, base) => {
  const value = text(raw, base)
  if (!/^[a-z0-9][a-z0-9_-]{0,99}$/.test(value))
    throw new ValueError('must be of small letters, digits, - and _, a letter or digit first')
  return value
}

/** Where the search is kept other than in the data folder (src/infra/elasticsearch). */
export const elasticsearchOptions: {
  readonly nodes: Option<readonly string[] | undefined>
  readonly username: Option<string | undefined>
  readonly password: Option<string | undefined>
  readonly apiKey: Option<string | undefined>
  readonly caFile: Option<string | undefined>
  readonly prefix: Option<string>
  readonly shards: Option<number>
  readonly replicas: Option<number | undefined>
  readonly rolloverBytes: Option<number>
  readonly rolloverMs: Option<number>
  readonly retentionMs: Option<number | undefined>
  readonly bulkBytes: Option<number>
  readonly inFlightBytes: Option<number>
  readonly timeoutMs: Option<number>
} = {
  nodes: {
    key: 'elasticsearch.nodes',
    env: 'CONFAB_ELASTICSEARCH',
    parse: list(url('http', 'https')),
    fallback: undefined,
    doc: 'Nodes of a cluster of Elasticsearch 9 for the search. Not given: the search is in the data folder.',
  },
  username: {
    key: 'elasticsearch.username',
    env: 'CONFAB_ELASTICSEARCH_USERNAME',
    parse: text,
    fallback: undefined,
    doc: 'User of the cluster.',
  },
  password: {
    key: 'elasticsearch.password',
    env: 'CONFAB_ELASTICSEARCH_PASSWORD',
    parse: text,
    fallback: undefined,
    secret: true,
    doc: 'Password of that user.',
  },
  apiKey: {
    key: 'elasticsearch.apiKey',
    env: 'CONFAB_ELASTICSEARCH_API_KEY',
    parse: text,
    fallback: undefined,
    secret: true,
    doc: 'API key of the cluster, encoded as it gives it out; instead of a user.',
  },
  caFile: {
    key: 'elasticsearch.ca',
    env: 'CONFAB_ELASTICSEARCH_CA',
    parse: (raw, base) => resolve(base, text(raw, base)),
    fallback: undefined,
    doc: "PEM file of the authority that signed the nodes' certificates.",
  },
  prefix: {
    key: 'elasticsearch.prefix',
    env: 'CONFAB_ELASTICSEARCH_PREFIX',
    parse: prefix,
    fallback: 'confab',
    doc: 'What the names of indices begin with.',
  },
  shards: {
    key: 'elasticsearch.shards',
    env: 'CONFAB_ELASTICSEARCH_SHARDS',
    parse: integer(1, 1_024),
    fallback: 1,
    doc: 'Primary shards of a new index.',
  },
  replicas: {
    key: 'elasticsearch.replicas',
    env: 'CONFAB_ELASTICSEARCH_REPLICAS',
    parse: integer(0, 10),
    fallback: undefined,
    doc: 'Copies of each shard of a new index. Not given: one where there is a second node.',
  },
  rolloverBytes: {
    key: 'elasticsearch.rolloverSize',
    env: 'CONFAB_ELASTICSEARCH_ROLLOVER_SIZE',
    parse: size(MiB, 1024 * GiB),
    fallback: 30 * GiB,
    doc: 'Size of an index beyond which messages go to a new one.',
  },
  rolloverMs: {
    key: 'elasticsearch.rolloverAge',
    env: 'CONFAB_ELASTICSEARCH_ROLLOVER_AGE',
    parse: duration(minutes, 3_650 * days),
    fallback: 30 * days,
    doc: 'Age of an index beyond which messages go to a new one.',
  },
  retentionMs: {
    key: 'elasticsearch.retention',
    env: 'CONFAB_ELASTICSEARCH_RETENTION',
    parse: duration(minutes, 36_500 * days),
    fallback: undefined,
    doc: 'Age beyond which messages are no longer found, an index at a time. Not given: none.',
  },
  bulkBytes: {
    key: 'elasticsearch.bulk',
    env: 'CONFAB_ELASTICSEARCH_BULK',
    parse: size(64 * 1024, 64 * MiB),
    fallback: MiB / 4,
    doc: 'Size of one bulk request, about: small, so that several are worked on at once.',
  },
  inFlightBytes: {
    key: 'elasticsearch.inFlight',
    env: 'CONFAB_ELASTICSEARCH_IN_FLIGHT',
    parse: size(64 * 1024, GiB),
    fallback: 4 * MiB,
    doc: 'Bytes of bulk requests under way.',
  },
  timeoutMs: {
    key: 'elasticsearch.timeout',
    env: 'CONFAB_ELASTICSEARCH_TIMEOUT',
    parse: duration(seconds, 5 * minutes),
    fallback: 10_000,
    doc: 'Longest wait for an answer.',
  },
}
