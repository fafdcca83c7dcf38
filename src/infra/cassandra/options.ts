import { defaultsOf, type OptionType, option, ValueError, type ValuesOf } from '../../base/option.ts'
import {
  boolean,
  duration,
  integer,
  list,
  minutes,
  seconds,
  text,
  textMatching,
} from '../../base/option-types.ts'
import { clientTlsOptions } from '../../base/tls-options.ts'

/** `host:port`; the port defaults to 9042. */
const contactPoint: OptionType<string> = {
  name: 'host:port',
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    const address = /^\[[0-9a-f:.]+\]$|^[^:[\]]+$/i.test(value) ? `${value}:9042` : value
    if (!/^(\[[0-9a-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/i.test(address))
      throw new ValueError('must be an address such as host:9042')
    return address
  },
}

/** A Cassandra cluster for timeline, inbox, read state and roster. */
export const cassandraOptions = {
  contactPoints: option({
    key: 'cassandra.contactPoints',
    env: 'CONFAB_CASSANDRA',
    type: list(contactPoint),
    doc: 'Some nodes of the cluster, all with the same port. The driver finds the others. Not given: the views are in the data folder.',
  }),
  dataCenter: option({
    key: 'cassandra.dataCenter',
    env: 'CONFAB_CASSANDRA_DC',
    type: text,
    default: 'datacenter1',
    doc: 'Data centre that this process reads from and writes to.',
  }),
  keyspace: option({
    key: 'cassandra.keyspace',
    // Names that CQL accepts without quotes.
    type: textMatching(/^[a-z][a-z0-9_]{0,47}$/, '1 to 48 of a-z 0-9 _, starting with a letter'),
    default: 'confab',
    doc: 'Keyspace; `confab stores migrate` creates it.',
  }),
  replicationFactor: option({
    key: 'cassandra.replicationFactor',
    type: integer(1, 15),
    unit: 'copies',
    doc: 'Copies of each row, set by `confab stores migrate`. Not given: a keyspace keeps its factor; a new one gets one copy a node, 3 at most.',
  }),
  username: option({ key: 'cassandra.username', type: text, doc: 'Role to log in as.' }),
  password: option({ key: 'cassandra.password', type: text, secret: true, doc: 'Password of the role.' }),
  tls: option({
    key: 'cassandra.tls.enabled',
    formerKey: 'cassandra.tls',
    type: boolean,
    default: false,
    doc: 'Whether connections use TLS. The other options of `cassandra.tls` imply it.',
  }),
  ...clientTlsOptions('cassandra', 'the nodes', { ca: 'cassandra.ca' }),
  writesInFlight: option({
    key: 'cassandra.writesInFlight',
    type: integer(1, 4_096),
    // More only fills the queues of the nodes.
    default: 512,
    unit: 'writes',
    doc: 'Writes under way at the same time.',
  }),
  readsInFlight: option({
    key: 'cassandra.readsInFlight',
    type: integer(1, 4_096),
    default: 256,
    unit: 'reads',
    doc: 'Reads under way at the same time, of all queries together.',
  }),
  timeoutMs: option({
    key: 'cassandra.timeout',
    type: duration(100, 5 * minutes),
    // Longer than the default timeouts of the server (2 s for writes, 5 s for reads), whose errors say more.
    default: 6 * seconds,
    doc: 'Time that a request waits for its answer.',
  }),
  connectMs: option({
    key: 'cassandra.connectTimeout',
    type: duration(100, 5 * minutes),
    default: 5 * seconds,
    doc: 'Time that a connection to a node may take.',
  }),
  speculateAfterMs: option({
    key: 'cassandra.speculateAfter',
    type: duration(1, minutes),
    // Much longer than a normal read.
    default: 200,
    doc: 'Time without an answer after which a read is sent to another node, too.',
  }),
} as const

type CassandraConfig = ValuesOf<typeof cassandraOptions>

/** The options of a connection; those not given have their defaults. */
export interface CassandraOptions extends Partial<CassandraConfig> {
  readonly contactPoints: readonly string[]
  readonly dataCenter: string
  readonly keyspace: string
}

export const defaultCassandraOptions: CassandraConfig = defaultsOf(cassandraOptions)
