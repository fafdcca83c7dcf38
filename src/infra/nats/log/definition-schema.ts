import { type TSchema, Type } from '@sinclair/typebox'
import { ValueErrorType } from '@sinclair/typebox/errors'
import { Value } from '@sinclair/typebox/value'

const units = { ms: 1e6, s: 1e9, m: 60e9, h: 3600e9, d: 86400e9 }

const Duration = Type.String({
  pattern: '^\\d+(ms|s|m|h|d)$',
  description: 'a duration: write 500ms, 30s, 2m, 6h or 30d',
})
const Limit = Type.Integer({ minimum: -1, description: 'a whole number, or -1 for no limit' })
const Flag = Type.Boolean({ description: 'true or false' })
const Text = Type.String({ description: 'a text' })
const Texts = Type.Array(Type.String(), { description: 'a list of texts' })
const oneOf = (...values: readonly string[]): TSchema =>
  Type.Union(
    values.map(value => Type.Literal(value)),
    { description: values.join(' or ') },
  )
const closed = { additionalProperties: false }
const SubjectPair = Type.Object({ src: Text, dest: Text, headers_only: Type.Optional(Flag) }, closed)

/** Settings that streams and buckets have. */
const common = {
  description: Text,
  storage: oneOf('file', 'memory'),
  num_replicas: Type.Integer({ minimum: 1, maximum: 5, description: 'a number from 1 to 5' }),
  placement: Type.Object(
    { cluster: Type.Optional(Text), tags: Type.Optional(Texts) },
    { ...closed, description: 'the fields cluster and tags' },
  ),
  compression: oneOf('none', 's2'),
  max_msgs: Limit,
  max_msgs_per_subject: Limit,
  max_bytes: Limit,
  max_age: Duration,
  max_msg_size: Limit,
  allow_rollup_hdrs: Flag,
  allow_msg_ttl: Flag,
  subject_delete_marker_ttl: Duration,
  metadata: Type.Record(Type.String(), Type.String(), { description: 'texts by name' }),
}

/** The fields of JetStream that the `config` of a stream may have. */
export const StreamSettings = Type.Partial(
  Type.Object(
    {
      ...common,
      subjects: Texts,
      retention: oneOf('limits', 'interest', 'workqueue'),
      discard: oneOf('old', 'new'),
      discard_new_per_subject: Flag,
      duplicate_window: Duration,
      allow_direct: Flag,
      allow_atomic: Flag,
      allow_msg_counter: Flag,
      allow_msg_schedules: Flag,
      deny_delete: Flag,
      deny_purge: Flag,
      no_ack: Flag,
      sealed: Flag,
      persist_mode: oneOf('default', 'async'),
      republish: SubjectPair,
      subject_transform: SubjectPair,
    },
    closed,
  ),
)

/** The fields of JetStream that a bucket may have. */
export const BucketSettings = Type.Partial(Type.Object(common, closed))

/** Settings that are durations: `30s` in a file, nanoseconds in JetStream. */
const durations = ['max_age', 'duplicate_window', 'subject_delete_marker_ttl']

const nanoseconds = (text: string): number => {
  const [, number, unit] = /^(\d+)(\D+)$/.exec(text) ?? []
  return Number(number) * units[unit as keyof typeof units]
}

/**
 * Returns the settings of a stream or a bucket as JetStream has them. `place`: where they are in their file. Throws
 * TypeError, which names every wrong field with its place.
 */
export const readSettings = (schema: TSchema, settings: unknown, place: string): Record<string, unknown> => {
  if (typeof settings !== 'object' || settings === null)
    throw new TypeError(`${place}: has to be a map of settings`)
  const problems = new Map<string, string>()
  for (const { type, path, schema: wanted, value } of Value.Errors(schema, settings)) {
    const field = `${place}${path.replaceAll('/', '.')}`
    if (!problems.has(field))
      problems.set(
        field,
        type === ValueErrorType.ObjectAdditionalProperties
          ? `${field}: no such setting`
          : `${field}: ${JSON.stringify(value)} is not ${wanted.description ?? 'as defined'}`,
      )
  }
  if (problems.size > 0) throw new TypeError([...problems.values()].join('; '))
  const config: Record<string, unknown> = { ...settings }
  for (const name of durations) if (name in config) config[name] = nanoseconds(String(config[name]))
  return config
}
