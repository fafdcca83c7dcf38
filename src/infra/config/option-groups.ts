import type { Option, OptionTable, ValuesOf } from '../../base/option.ts'
import { busOptions, remoteOptions } from '../../commands/index.ts'
import {
  catchUpOptions,
  connectionOptions,
  consistencyOptions,
  edgeLimitOptions,
  signalOptions,
} from '../../edge/ports/edge-limits.ts'
import { presenceOptions } from '../../edge/ports/presence-limits.ts'
import { quotaOptions } from '../../edge/ports/quota-limits.ts'
import { rateOptions } from '../../edge/ports/rate-limits.ts'
import { mediaOptions } from '../../media/index.ts'
import { projectionOptions } from '../../projections/index.ts'
import { cassandraOptions } from '../cassandra/options.ts'
import { elasticsearchOptions } from '../elasticsearch/elasticsearch-options.ts'
import { backupOptions } from '../nats/backup/options.ts'
import { s3Options } from '../s3/options.ts'
import { tracingOptions } from '../telemetry/tracing-options.ts'
import { tokenOptions } from '../tokens/options.ts'
import {
  adminTlsOptions,
  auditOptions,
  configFileOption,
  edgeNodeOptions,
  edgeTlsOptions,
  grpcTlsOptions,
  logOptions,
  mediaFolderOptions,
  natsBinaryOption,
  natsOptions,
  natsTlsOptions,
  processOptions,
  storageOptions,
} from './process-options.ts'

/** Options that are fields of the configuration itself. */
export const options = {
  ...processOptions,
  ...natsOptions,
  ...edgeNodeOptions,
  ...storageOptions,
  ...mediaFolderOptions,
  ...logOptions,
} as const

/** Options that are one object of the configuration together, by its name there. */
export const sections = {
  edgeTls: edgeTlsOptions,
  grpcTls: grpcTlsOptions,
  adminTls: adminTlsOptions,
  natsTls: natsTlsOptions,
  tokens: tokenOptions,
  audit: auditOptions,
  edge: edgeLimitOptions,
  commands: busOptions,
  remoteCommands: remoteOptions,
  projections: projectionOptions,
  media: mediaOptions,
  s3: s3Options,
  backup: backupOptions,
  cassandra: cassandraOptions,
  elasticsearch: elasticsearchOptions,
  tracing: tracingOptions,
} as const

/** The configuration of one process. Durations are in ms, sizes in bytes, paths absolute. Frozen. */
export type ConfabConfig = ValuesOf<typeof options> & {
  readonly [S in keyof typeof sections]: ValuesOf<(typeof sections)[S]>
}

/** One section of the reference. */
export interface OptionGroup {
  readonly title: string
  readonly options: OptionTable
}

/** Several tables have fields of the same names. */
const prefixed = (prefix: string, table: OptionTable): OptionTable =>
  Object.fromEntries(Object.entries(table).map(([field, entry]) => [`${prefix}.${field}`, entry]))

/** The reference: every option once, by group. */
export const optionGroups: readonly OptionGroup[] = [
  { title: 'Process', options: { configFileOption, ...processOptions } },
  { title: 'NATS', options: { ...natsOptions, ...prefixed('nats', natsTlsOptions), natsBinaryOption } },
  { title: 'Storage', options: storageOptions },
  { title: 'Tokens', options: tokenOptions },
  { title: 'Audit', options: auditOptions },
  { title: 'Logging', options: logOptions },
  { title: 'Tracing', options: tracingOptions },
  {
    title: 'Certificates of listeners',
    options: {
      ...prefixed('edge', edgeTlsOptions),
      ...prefixed('grpc', grpcTlsOptions),
      ...prefixed('admin', adminTlsOptions),
    },
  },
  { title: 'Edge connections', options: { ...edgeNodeOptions, ...connectionOptions } },
  { title: 'Edge limits for clients', options: rateOptions },
  { title: 'Edge quotas of users', options: quotaOptions },
  { title: 'Edge consistency', options: consistencyOptions },
  { title: 'Edge catch-up', options: catchUpOptions },
  { title: 'Edge delivery and signals', options: signalOptions },
  { title: 'Edge presence', options: presenceOptions },
  { title: 'Commands', options: busOptions },
  { title: 'Commands in other processes', options: remoteOptions },
  { title: 'Projections', options: projectionOptions },
  { title: 'Media', options: { ...mediaFolderOptions, ...mediaOptions } },
  { title: 'S3', options: s3Options },
  { title: 'Backups', options: backupOptions },
  { title: 'Cassandra', options: cassandraOptions },
  { title: 'Elasticsearch', options: elasticsearchOptions },
]

export const allOptions: readonly Option[] = optionGroups.flatMap(({ options }) => Object.values(options))

/** Bounds that depend on each other: the first must not be more than the second. */
export const orderedOptions: readonly (readonly [small: Option<number>, large: Option<number>])[] = [
  [connectionOptions.closingBytes, connectionOptions.transportBytes],
  [busOptions.batchFrom, busOptions.batchMost],
  [remoteOptions.tryMs, remoteOptions.timeoutMs],
  [elasticsearchOptions.lookMs, elasticsearchOptions.leadMs],
]
