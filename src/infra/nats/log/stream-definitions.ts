import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { StreamConfig } from '@nats-io/jetstream'
import { parse } from 'yaml'
import { Family, subjectsOfStream } from '../../../events/index.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { readSettings, StreamSettings } from './definition-schema.ts'

/** The settings of one stream. The server chooses those that are not named, such as replicas and placement. */
export type StreamDefinition = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>

/**
 * The settings by which a stream removes, refuses or forgets messages, with NATS' defaults. Every definition has all of
 * them, so a limit that an operator or a tool sets is a difference, whether a file of `streams/` names it or not.
 */
export const safeguards = {
  retention: 'limits',
  discard: 'old',
  discard_new_per_subject: false,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  max_bytes: -1,
  max_age: 0,
  max_msg_size: -1,
  no_ack: false,
  sealed: false,
  deny_delete: false,
  deny_purge: false,
  allow_rollup_hdrs: false,
  allow_msg_ttl: false,
  subject_delete_marker_ttl: 0,
  allow_msg_counter: false,
  allow_msg_schedules: false,
  persist_mode: 'default',
} as const

export interface LoadStreamsOptions {
  /** Default: confab's own `streams/`. */
  readonly folder?: string
  /** Number of streams for conversations. Default: as defined. */
  readonly conv?: number
  /** Number of streams for users. Default: as defined. */
  readonly user?: number
  /** Replicas of each stream: 1, 3 or 5. Default: existing streams keep theirs, new streams get one. */
  readonly replicas?: number | undefined
}

/** A file of `streams/`: a family with its number of streams, or a single stream with its name. */
interface DefinitionFile {
  readonly family?: Family
  readonly count?: number
  readonly name?: string
  readonly config: Record<string, unknown>
}

const compile = (file: DefinitionFile, options: LoadStreamsOptions): StreamDefinition[] => {
  const settings = readSettings(StreamSettings, file.config, 'config')
  const config: Record<string, unknown> = { ...settings, ...safeguards, ...settings }
  if (options.replicas !== undefined) config.num_replicas = options.replicas
  const { family } = file
  if (family === undefined) {
    if (!file.name || !Array.isArray(config.subjects))
      throw new TypeError('needs a family, or a name and subjects')
    return [{ ...config, name: file.name } as StreamDefinition]
  }
  if (!Object.values(Family).includes(family))
    throw new TypeError(`no such family: ${family} (write conv or user)`)
  const count = options[family] ?? file.count ?? 1
  return Array.from({ length: count }, (_, index) => ({
    ...config,
    name: `${family.toUpperCase()}_${index}`,
    subjects: subjectsOfStream(family, index, count),
  }))
}

/** The file of `streams/` that holds the regions, not a definition. */
export const topologyFile = 'topology.yaml'
/** The file of `streams/` that defines the key-value buckets. */
export const bucketsFile = 'buckets.yaml'
const otherFiles: ReadonlySet<string> = new Set([topologyFile, bucketsFile])

/** The folder `streams/`: four levels above this file, in the sources (`src`) and in the package (`dist`). */
export const ownStreamsFolder = (): string => fileURLToPath(new URL('../../../../streams', import.meta.url))

/** Reads the definitions of all streams. Throws NatsError, which names the file, for an invalid definition. */
export const loadStreams = (options: LoadStreamsOptions = {}): StreamDefinition[] => {
  const folder = options.folder ?? ownStreamsFolder()
  const names = readdirSync(folder).filter(name => name.endsWith('.yaml') && !otherFiles.has(name))
  return names.sort().flatMap(name => {
    try {
      return compile(parse(readFileSync(join(folder, name), 'utf8')) as DefinitionFile, options)
    } catch (error) {
      throw new NatsError(NatsProblem.streams, `${join(folder, name)}: ${(error as Error).message}`, error)
    }
  })
}
