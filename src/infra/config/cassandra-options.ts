import { resolve } from 'node:path'
import type { Option } from './options.ts'
import { boolean, integer, list, type Parse, text, ValueError } from './values.ts'

/** `host:port`; the port is 9042 where it is not given. */
const contactPoint: Parse<string> = (raw, base) => {
  const value = text(raw, base)
  const given = /^\[[0-9a-f:.]+\]$|^[^:[\]]+$/i.test(value) ? `${value}:9042` : value
  if (!/^(\[[0-9a-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/i.test(given))
    throw new ValueError('must be an address such as host:9042')
  return given
}

/** What CQL takes for a name without quotes. */
const keyspace: Parse<string> = (raw, base) => {
  const value = text(raw, base)
  if (!/^[a-z][a-z0-9_]{0,47}$/.test(value))
    throw new ValueError('must be of small letters, digits and _, a letter first, 48 at most')
  return value
}

/** Where timeline, inbox, read state and roster are kept other than in the data folder (src/infra/cassandra). */
export const cassandraOptions: {
  readonly contactPoints: Option<readonly string[] | undefined>
  readonly dataCenter: Option<string>
  readonly keyspace: Option<string>
  readonly replicationFactor: Option<number | undefined>
  readonly username: Option<string | undefined>
  readonly password: Option<string | undefined>
  readonly tls: Option<boolean>
  readonly caFile: Option<string | undefined>
  readonly writesInFlight: Option<number>
  readonly readsInFlight: Option<number>
} = {
  contactPoints: {
    key: 'cassandra.contactPoints',
    env: 'CONFAB_CASSANDRA',
    parse: list(contactPoint),
    fallback: undefined,
    doc: 'Nodes of Cassandra, host:port, for timeline, inbox, read state and roster. Not given: these are in the data folder.',
  },
  dataCenter: {
    key: 'cassandra.dataCenter',
    env: 'CONFAB_CASSANDRA_DC',
    parse: text,
    fallback: 'datacenter1',
    doc: 'The data centre that is read from and written to.',
  },
  keyspace: {
    key: 'cassandra.keyspace',
    env: 'CONFAB_CASSANDRA_KEYSPACE',
    parse: keyspace,
    fallback: 'confab',
    doc: 'The keyspace; "confab stores migrate" creates it.',
  },
  replicationFactor: {
    key: 'cassandra.replicationFactor',
    env: 'CONFAB_CASSANDRA_REPLICATION_FACTOR',
    parse: integer(1, 15),
    fallback: undefined,
    doc: 'Copies of each row, for "confab stores migrate". Not given: a keyspace keeps what it has, a new one gets one a node, 3 at most.',
  },
  username: {
    key: 'cassandra.username',
    env: 'CONFAB_CASSANDRA_USERNAME',
    parse: text,
    fallback: undefined,
    doc: 'Role to log in as.',
  },
  password: {
    key: 'cassandra.password',
    env: 'CONFAB_CASSANDRA_PASSWORD',
    parse: text,
    fallback: undefined,
    secret: true,
    doc: 'Password of that role.',
  },
  tls: {
    key: 'cassandra.tls',
    env: 'CONFAB_CASSANDRA_TLS',
    parse: boolean,
    fallback: false,
    doc: 'Whether the nodes are spoken to over TLS.',
  },
  caFile: {
    key: 'cassandra.ca',
    env: 'CONFAB_CASSANDRA_CA',
    parse: (raw, base) => resolve(base, text(raw, base)),
    fallback: undefined,
    doc: "PEM file of the authority that signed the nodes' certificates; with TLS.",
  },
  writesInFlight: {
    key: 'cassandra.writesInFlight',
    env: 'CONFAB_CASSANDRA_WRITES_IN_FLIGHT',
    parse: integer(1, 4_096),
    fallback: 512,
    doc: 'Writes under way at once.',
  },
  readsInFlight: {
    key: 'cassandra.readsInFlight',
    env: 'CONFAB_CASSANDRA_READS_IN_FLIGHT',
    parse: integer(1, 4_096),
    fallback: 256,
    doc: 'Reads under way at once.',
  },
}
