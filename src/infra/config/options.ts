import { resolve } from 'node:path'
import { boolean, duration, integer, list, oneOf, type Parse, text, url } from './values.ts'

export const roles = ['edge', 'commands', 'projections'] as const
/** What a process does. `commands` decides and appends, `edge` serves clients, `projections` builds the views: any of them in any process. */
export type Role = (typeof roles)[number]

/** One option: where it may be written, what it means, what it is when it is not given. */
export interface Option<T = unknown> {
  /** Its key in the YAML file, and in `ConfabConfig`: `nats.servers`. */
  readonly key: string
  /** Environment variable. */
  readonly env?: string
  readonly parse: Parse<T>
  /** Used when it is given nowhere. Undefined: it has none. */
  readonly fallback: T
  /** The default as one would write it, where that is not its value. */
  readonly written?: string
  /** What it means, for the reference and for help. */
  readonly doc: string
  /** Errors name the place, never the value. */
  readonly secret?: true
}

const option = <T>(option: Option<T>): Option<T> => option

const path: Parse<string> = (raw, base) => resolve(base, text(raw, base))

const jwks: Parse<string> = (raw, base) => {
  const value = text(raw, base)
  return /^https?:\/\//.test(value) ? value : resolve(base, value)
}

const uniqueRoles: Parse<readonly Role[]> = (raw, base) => [...new Set(list(oneOf(...roles))(raw, base))]

const interests = ['auto', 'everything', 'conversations'] as const

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Every option, in the order of the reference. Flags beat the environment, which beats the file, which beats the default. */
export const options = {
  dev: option({
    key: 'dev',
    parse: boolean,
    fallback: false,
    doc: 'Development: anyone gets a token from /v1/dev/token, the secret is made up, a demonstration is seeded. Never in production.',
  }),
  host: option({
    key: 'host',
    env: 'CONFAB_HOST',
    parse: text,
    fallback: '127.0.0.1',
    doc: 'Address to listen on; 0.0.0.0 for all.',
  }),
  port: option({
    key: 'port',
    env: 'CONFAB_PORT',
    parse: integer(0, 65_535),
    fallback: 8080,
    doc: 'Port to listen on; 0 takes a free one.',
  }),
  grpcPort: option<number | undefined>({
    key: 'grpc.port',
    env: 'CONFAB_GRPC_PORT',
    parse: integer(0, 65_535),
    fallback: undefined,
    doc: 'Port of the gRPC service of an edge; 0 takes a free one. Not given: there is none.',
  }),
  data: option({
    key: 'data',
    env: 'CONFAB_DATA',
    parse: path,
    fallback: resolve('.confab'),
    written: '.confab',
    doc: 'Folder of what this process keeps: the embedded log, the views.',
  }),
  roles: option<readonly Role[]>({
    key: 'roles',
    env: 'CONFAB_ROLES',
    parse: uniqueRoles,
    fallback: roles,
    doc: 'What this process does: edge, commands, projections.',
  }),
  natsServers: option<readonly string[] | undefined>({
    key: 'nats.servers',
    env: 'CONFAB_NATS',
    parse: list(url('nats', 'tls', 'ws', 'wss')),
    fallback: undefined,
    doc: 'Existing NATS servers. Not given: an embedded one, in the data folder.',
  }),
  natsReplicas: option<number | undefined>({
    key: 'nats.replicas',
    env: 'CONFAB_NATS_REPLICAS',
    parse: integer(1, 5),
    fallback: undefined,
    doc: 'Copies of each stream, 1, 3 or 5, on a cluster of at least as many servers. Not given: streams that are there keep theirs, new ones get one.',
  }),
  interest: option<(typeof interests)[number]>({
    key: 'edge.interest',
    env: 'CONFAB_EDGE_INTEREST',
    parse: oneOf(...interests),
    fallback: 'auto',
    doc: 'What an edge without the role commands follows of the log: everything; the conversations of its clients, and digests of the rest; or, with auto, whatever costs less at its load.',
  }),
  jwtSecret: option<string | undefined>({
    key: 'jwt.secret',
    env: 'CONFAB_JWT_SECRET',
    parse: text,
    fallback: undefined,
    secret: true,
    doc: 'Secret of HS256 tokens; at least 32 bytes, except with dev. With dev and none given, a random one is kept in the data folder.',
  }),
  jwks: option<string | undefined>({
    key: 'jwt.jwks',
    env: 'CONFAB_JWKS',
    parse: jwks,
    fallback: undefined,
    doc: 'File or URL of the JSON Web Key Set that tokens are checked with (EdDSA, RS256).',
  }),
  mediaFolder: option<string | undefined>({
    key: 'media.folder',
    env: 'CONFAB_MEDIA_FOLDER',
    parse: path,
    fallback: undefined,
    doc: 'Folder of attachments, where they are not in S3; processes that serve the same system need the same one. Not given: media in the data folder.',
  }),
  logLevel: option<(typeof logLevels)[number]>({
    key: 'log.level',
    env: 'CONFAB_LOG_LEVEL',
    parse: oneOf(...logLevels),
    fallback: 'info',
    doc: 'The least level that is logged.',
  }),
  logFile: option<string | undefined>({
    key: 'log.file',
    env: 'CONFAB_LOG_FILE',
    parse: path,
    fallback: undefined,
    doc: 'File that the log is appended to, as JSON lines. Not given: standard error, as readable lines on a terminal.',
  }),
  drainMs: option({
    key: 'drain',
    env: 'CONFAB_DRAIN',
    parse: duration(0, 600_000),
    fallback: 10_000,
    doc: 'How long a stop waits for what is under way.',
  }),
  stopTimeoutMs: option<number | undefined>({
    key: 'stopTimeout',
    env: 'CONFAB_STOP_TIMEOUT',
    parse: duration(1_000, 900_000),
    fallback: undefined,
    written: '30s, or drain + 20s where that is longer',
    doc: 'Bound of a whole stop, drain included. In Kubernetes, set terminationGracePeriodSeconds a few seconds higher.',
  }),
} as const

/** Parts that the configuration may name already, and that this version has not. */
export const comesLater: readonly { readonly env: string; readonly key: string; readonly what: string }[] = []

/** Environment that belongs to a part above, so that it is no unknown key. */
export const alsoKnown = ['CONFAB_CONFIG', 'CONFAB_NATS_SERVER'] as const
