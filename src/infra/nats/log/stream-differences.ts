import { isDeepStrictEqual } from 'node:util'
import type { StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { storedSubjectsOf } from './log-layout.ts'
import { type StreamDefinition, safeguards } from './stream-definitions.ts'

/** A definition of a stream: one that takes subjects, or a mirror, which takes none. */
export type AnyDefinition = Omit<StreamDefinition, 'subjects'> & Partial<Pick<StreamDefinition, 'subjects'>>

/** A setting of a stream that differs from the definition. */
export interface StreamChange {
  readonly stream: string
  /** The name of the setting in JetStream; `name` for a stream that does not exist. */
  readonly field: string
  /** Absent when the stream, or the setting, does not exist. */
  readonly from?: unknown
  readonly to: unknown
  /** Whether the change removes stored messages, now or later, or leaves them where no reader looks for them. */
  readonly destructive: boolean
}

/** The differences between a stream and its definition. */
export interface StreamDifferences {
  readonly changes: readonly StreamChange[]
  /** Names of the settings that differ, and that JetStream does not change in a stream. */
  readonly kept: readonly string[]
}

/** Whether a stream has a defined value. The server adds settings and metadata of its own. */
const holds = (actual: unknown, defined: unknown): boolean =>
  typeof defined === 'object' && defined !== null && !Array.isArray(defined)
    ? Object.entries(defined).every(([key, value]) =>
        holds((actual as Record<string, unknown> | undefined)?.[key], value),
      )
    : isDeepStrictEqual(actual, defined) || (actual === undefined && (defined === false || defined === 0))

/** Settings that JetStream never unsets. A stream that has them although its definition does not is only safer. */
const safer: ReadonlySet<string> = new Set(['deny_delete', 'deny_purge'])
/** Settings that JetStream never changes back, and with which a stream still works. */
const unchangeable: ReadonlySet<string> = new Set(['allow_msg_ttl', 'persist_mode'])
/** Settings that JetStream leaves out of a stream's status while they have their default. */
const defaults: Readonly<Record<string, unknown>> = { ...safeguards }
/** Limits beyond which a stream removes messages. Zero and less: no limit. */
const removing: ReadonlySet<string> = new Set(['max_msgs', 'max_msgs_per_subject', 'max_bytes', 'max_age'])

const valueIn = (config: StreamConfig, field: string): unknown =>
  config[field as keyof StreamConfig] ?? defaults[field]

/** Returns the names of the settings that differ from the definition. */
export const differingFields = (actual: StreamConfig, defined: AnyDefinition): string[] =>
  Object.entries(defined)
    .filter(([field, value]) => {
      const its = valueIn(actual, field)
      return !holds(its, value) && !(safer.has(field) && its === true)
    })
    .map(([field]) => field)

const isDestructive = (field: string, from: unknown, to: unknown): boolean => {
  if (field === 'subjects' || field === 'retention') return true
  if (!removing.has(field)) return false
  const [before, after] = [Number(from), Number(to)]
  return after > 0 && (before <= 0 || after < before)
}

/** Whether a stream stores under the same subjects as before, although it takes others: its role or epoch changed. */
const keepsSubjects = (
  field: string,
  { config }: StreamInfo,
  { metadata, subjects }: AnyDefinition,
): boolean =>
  field === 'subjects' &&
  isDeepStrictEqual(
    storedSubjectsOf(config),
    storedSubjectsOf({ ...(metadata && { metadata }), ...(subjects && { subjects }) }),
  )

/** Compares a stream with its definition. `info` is undefined for a stream that does not exist. */
export const compareStream = (info: StreamInfo | undefined, defined: AnyDefinition): StreamDifferences => {
  const stream = defined.name
  if (info === undefined)
    return { changes: [{ stream, field: 'name', to: stream, destructive: false }], kept: [] }
  const fields = differingFields(info.config, defined)
  const changes = fields
    .filter(field => !unchangeable.has(field))
    .map((field): StreamChange => {
      const from = valueIn(info.config, field)
      const to = defined[field as keyof AnyDefinition]
      const destructive =
        info.state.messages > 0 && isDestructive(field, from, to) && !keepsSubjects(field, info, defined)
      return { stream, field, ...(from === undefined ? {} : { from }), to, destructive }
    })
  return { changes, kept: fields.filter(field => unchangeable.has(field)) }
}

/** Returns a stream's settings as an update has to have them. */
export const updatedConfig = (
  actual: StreamConfig,
  defined: AnyDefinition,
  kept: readonly string[],
): StreamConfig => {
  const config = { ...actual, ...defined, metadata: { ...actual.metadata, ...defined.metadata } }
  const stays = [...kept, ...[...safer].filter(field => actual[field as keyof StreamConfig] === true)]
  return Object.assign(
    config,
    Object.fromEntries(stays.map(field => [field, actual[field as keyof StreamConfig]])),
  )
}
