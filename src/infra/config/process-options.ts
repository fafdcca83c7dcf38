import { resolve } from 'node:path'
import { type OptionType, option } from '../../base/option.ts'
import {
  boolean,
  days,
  duration,
  GiB,
  integer,
  list,
  MiB,
  minutes,
  oneOf,
  origin,
  orOff,
  path,
  portOrOff,
  seconds,
  size,
  socketOrigin,
  text,
  textMatching,
  url,
} from '../../base/option-types.ts'
import { clientCaOption, clientTlsOptions, listenerTlsOptions } from '../../base/tls-options.ts'
import { inboxOptions } from '../nats/client/inbox-options.ts'
import { signingSecret } from '../tokens/options.ts'

export const roles = ['edge', 'commands', 'projections'] as const
/** A task of a process: `edge` serves clients, `commands` decides and appends, `projections` builds the views. */
export type Role = (typeof roles)[number]

const listOfRoles = list(oneOf(...roles))
const uniqueRoles: OptionType<readonly Role[]> = {
  ...listOfRoles,
  parse: (raw, base) => [...new Set(listOfRoles.parse(raw, base))],
}

const port = integer(0, 65_535)

/** The process, whatever its roles. */
export const processOptions = {
  dev: option({
    key: 'dev',
    env: null,
    flag: '--dev',
    type: boolean,
    default: false,
    doc: 'Development mode: /v1/dev/token signs tokens for every user with a secret of the data folder, and a new data folder gets demonstration messages. Excludes `jwt.secret` and `jwt.jwks`. Do not use it in production.',
  }),
  host: option({
    key: 'host',
    flag: '--host <host>',
    type: text,
    default: '127.0.0.1',
    doc: 'Address to listen on; 0.0.0.0 for all.',
  }),
  port: option({
    key: 'port',
    flag: '--port <n>',
    type: port,
    default: 8080,
    doc: 'Port to listen on; 0 for a free one.',
  }),
  grpcPort: option({
    key: 'grpc.port',
    flag: '--grpc-port <n>',
    type: port,
    doc: 'Port of the gRPC service of an edge node; 0 for a free one. Not given: no gRPC.',
  }),
  adminHost: option({
    key: 'admin.host',
    flag: '--admin-host <host>',
    type: text,
    default: '127.0.0.1',
    doc: 'Address of the admin listener: metrics, details of the readiness, and admin requests. It answers metrics and readiness without a token, so only operators may reach it.',
  }),
  adminPort: option({
    key: 'admin.port',
    flag: '--admin-port <n>',
    type: portOrOff as OptionType<number | 'off' | undefined>,
    shownDefault: '9080, or a free port if that one is in use',
    doc: 'Port of the admin listener; 0 for a free one, `off` for none.',
  }),
  hosts: option({
    key: 'hosts',
    type: list(textMatching(/^[A-Za-z0-9._-]+$/, 'a host name without port')),
    doc: 'Host names, besides `localhost`, that a development server and an admin listener on a loopback address answer to. They refuse requests with another name in the header `Host`, except IP addresses.',
  }),
  data: option({
    key: 'data',
    flag: '--data <folder>',
    type: path,
    default: resolve('.confab'),
    shownDefault: '.confab',
    doc: 'Data folder: the embedded log, the views, media. Only the user of the process can read it.',
  }),
  roles: option({
    key: 'roles',
    flag: '--roles <roles>',
    type: uniqueRoles,
    default: roles,
    doc: 'Roles of this process.',
  }),
  drainMs: option({
    key: 'drain',
    type: duration(0, 10 * minutes),
    default: 10 * seconds,
    doc: 'Time that a stopping process waits for work under way.',
  }),
  stopTimeoutMs: option({
    key: 'stopTimeout',
    type: duration(seconds, 15 * minutes),
    shownDefault: '30s, or drain + 20s if that is longer',
    doc: 'Bound of a whole stop, `drain` included. In Kubernetes, set terminationGracePeriodSeconds some seconds higher.',
  }),
} as const

export const natsOptions = {
  natsServers: option({
    key: 'nats.servers',
    env: 'CONFAB_NATS',
    flag: '--nats <urls>',
    type: list(url('nats', 'tls')),
    secret: 'url',
    doc: 'Existing NATS servers. Not given: an embedded server in the data folder. `tls://` requires TLS, with a certificate for the host name of the URL; the options `nats.tls` do so, too.',
  }),
  ...inboxOptions,
  natsReplicas: option({
    key: 'nats.replicas',
    flag: '--replicas <n>',
    type: integer(1, 5),
    unit: 'copies',
    doc: 'Copies of each stream (1, 3 or 5) on a cluster of at least as many servers. Not given: existing streams keep theirs, new ones get one.',
  }),
  topology: option({
    key: 'topology',
    flag: '--topology <file>',
    type: path as OptionType<string | undefined>,
    default: undefined,
    shownDefault: 'streams/topology.yaml',
    doc: 'File with the regions of the system, and the home of each stream, for `confab region` and `confab streams`. The default has one region, with the configured servers.',
  }),
  natsTimeoutMs: option({
    key: 'nats.timeout',
    type: duration(250, minutes),
    default: 3 * seconds,
    doc: 'Time without an answer after which an append to the log, or a read from it, fails.',
  }),
  natsPingMs: option({
    key: 'nats.ping',
    type: duration(250, 5 * minutes),
    default: 5 * seconds,
    doc: 'Interval of pings to the server. After two pings without an answer the process connects anew.',
  }),
} as const

/** TLS of the connections to NATS. */
export const natsTlsOptions = clientTlsOptions('nats', 'the NATS servers')

/** TLS of the listener for WebSockets, HTTP and event streams. */
export const edgeTlsOptions = {
  ...listenerTlsOptions(
    'edge',
    'the public listener',
    'connections in clear text, for a proxy that ends TLS.',
  ),
  clientCaFile: clientCaOption('edge', 'clients'),
  minVersion: option({
    key: 'edge.tls.minVersion',
    type: oneOf('1.2', '1.3'),
    default: '1.2',
    doc: 'Oldest version of TLS that the public listener, gRPC and the admin listener accept.',
  }),
} as const

/** TLS of the gRPC service. */
export const grpcTlsOptions = {
  ...listenerTlsOptions('grpc', 'the gRPC service', 'the certificate of `edge.tls.cert`, if there is one.'),
  clientCaFile: clientCaOption('grpc', 'services'),
} as const

/** TLS of the admin listener. */
export const adminTlsOptions = {
  ...listenerTlsOptions('admin', 'the admin listener', 'connections in clear text.'),
  clientCaFile: clientCaOption('admin', 'operators and Prometheus'),
} as const

/** Options of an edge node that are no bounds. */
export const edgeNodeOptions = {
  hstsMs: option({
    key: 'edge.hsts',
    type: orOff(duration(seconds, 10 * 365 * days)),
    default: 365 * days,
    doc: 'Time for which browsers use the host of this server over https only (Strict-Transport-Security). Sent over https: that of `edge.tls`, or that of a trusted proxy which says so in `X-Forwarded-Proto`.',
  }),
  interest: option({
    key: 'edge.interest',
    type: oneOf('auto', 'everything', 'conversations'),
    default: 'auto',
    doc: 'Events that an edge node without the role commands receives: everything, or the conversations of its clients and digests of the rest. With auto, the cheaper one at its load.',
  }),
  socketOrigins: option({
    key: 'edge.socketOrigins',
    type: list(socketOrigin),
    doc: 'Origins of web pages that may open WebSockets: `self` for the page that this server delivers, others by their address. Clients that are not browsers send no origin and are not checked. Not given: all origins, as a page needs a token to do anything.',
  }),
  corsOrigins: option({
    key: 'edge.corsOrigins',
    type: list(origin),
    doc: 'Origins of web pages that may call the HTTP routes; `*` for all. Not given: only the page that this server delivers.',
  }),
} as const

export const storageOptions = {
  storageReserve: option({
    key: 'storage.reserve',
    type: orOff(size(MiB, 1024 * 1024 * GiB)),
    default: 512 * MiB,
    doc: 'Storage that edge nodes keep free for the log: the disk of an embedded server and of a media folder, or the limit of the NATS account. At most a tenth of it. Below the reserve uploads to a folder are OVERLOADED, below its half new conversations too.',
  }),
} as const

export const mediaFolderOptions = {
  mediaFolder: option({
    key: 'media.folder',
    type: path,
    doc: 'Folder of attachments, where they are not in S3. Processes of one system need the same folder. Not given: a folder in the data folder.',
  }),
} as const

export const logOptions = {
  logLevel: option({
    key: 'log.level',
    type: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    default: 'info',
    doc: 'Lowest level that is logged.',
  }),
  logFile: option({
    key: 'log.file',
    type: path,
    doc: 'File that the log is appended to, as JSON lines. Not given: standard error, as readable lines on a terminal.',
  }),
} as const

/** Options of the records of what operators and admins do. */
export const auditOptions = {
  key: option({
    key: 'audit.key',
    type: signingSecret,
    secret: true,
    doc: 'Key that signs the records of the audit stream, the same for all processes and commands. With it, write access to NATS alone does not suffice to rewrite the records. Not given: records are chained by hashes only.',
  }),
  previousKeys: option({
    key: 'audit.previousKeys',
    type: list(signingSecret),
    secret: true,
    doc: 'Earlier values of `audit.key`, which `confab audit verify` needs for the records of their time.',
  }),
  operator: option({
    key: 'audit.operator',
    type: text,
    doc: 'Name of the operator in the records of commands, for accounts that several people share. Not given: the user of the operating system.',
  }),
} as const

/** The file of the configuration; not an option inside it. */
export const configFileOption = option({
  env: 'CONFAB_CONFIG',
  flag: '--config <file>',
  type: path,
  doc: 'YAML file with options.',
})

/** Read by src/infra/nats/embedded, from the environment only. */
export const natsBinaryOption = option({
  env: 'CONFAB_NATS_SERVER',
  type: path,
  doc: 'Binary of the embedded NATS server. Not given: the first supported nats-server on PATH, else one that confab downloads.',
})
