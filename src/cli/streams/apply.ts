import { changesOf } from '../../app/open-audit.ts'
import { openNats } from '../../app/open-nats.ts'
import {
  applyBuckets,
  applyStreams,
  loadStreams,
  planStreams,
  type StreamChange,
} from '../../infra/nats/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { bytes, count, note, print, styled, table } from '../terminal/output.ts'

interface ApplyFlags extends SystemFlags {
  readonly json?: boolean
  readonly allowLoss?: readonly string[]
}

/** Settings that are durations, in nanoseconds. */
const durations: ReadonlySet<string> = new Set(['max_age', 'duplicate_window', 'subject_delete_marker_ttl'])
const sizes: ReadonlySet<string> = new Set(['max_bytes', 'max_msg_size'])
const units = [
  ['d', 86_400e9],
  ['h', 3_600e9],
  ['m', 60e9],
  ['s', 1e9],
] as const

const durationText = (ns: number): string => {
  const [unit, size] = units.find(([, size]) => ns % size === 0) ?? ['ms', 1e6]
  return `${count(ns / size)}${unit}`
}

/** Returns the value of a setting as an operator reads it. */
const valueText = (field: string, value: unknown): string => {
  if (value === undefined) return '–'
  if (typeof value !== 'number') return typeof value === 'string' ? value : JSON.stringify(value)
  if (field.startsWith('max_') && value <= 0) return 'no limit'
  if (durations.has(field)) return durationText(value)
  return sizes.has(field) ? bytes(value) : count(value)
}

const changesTable = (changes: readonly StreamChange[]): string =>
  table(
    [
      { title: 'stream' },
      { title: 'setting' },
      { title: 'now' },
      { title: 'as defined' },
      { title: 'effect' },
    ],
    changes.map(({ stream, field, from, to, destructive }) => [
      stream,
      field,
      valueText(field, from),
      valueText(field, to),
      field === 'name' ? 'created' : destructive ? styled('red', 'loses messages') : 'updated',
    ]),
  )

/** `confab streams plan`: shows what `apply` would change. */
export const plan = async (flags: ApplyFlags): Promise<void> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-streams')
  try {
    const { changes, kept } = await planStreams(
      system.nats.connection,
      loadStreams({ replicas: config.natsReplicas }),
    )
    if (flags.json) await print(`${JSON.stringify({ changes }, undefined, 2)}\n`)
    else if (changes.length > 0) await print(changesTable(changes))
    if (changes.length === 0) note('all streams are as defined')
    if (kept.length > 0) note(`JetStream does not change ${kept.join(', ')}: only a new stream can differ`)
    const losing = [...new Set(changes.flatMap(({ stream, destructive }) => (destructive ? [stream] : [])))]
    if (losing.length > 0)
      note(`"confab streams apply" refuses these changes without --allow-loss ${losing.join(' ')}`)
  } finally {
    await system.close()
  }
}

/** `confab streams apply`: makes the streams and the buckets as they are defined. */
export const apply = async (recorder: CommandRecorder, flags: ApplyFlags): Promise<void> => {
  const config = configOf(flags)
  const system = await openNats(config, 'confab-streams', note)
  try {
    const definitions = loadStreams({ replicas: config.natsReplicas })
    const allowLoss = new Set(flags.allowLoss)
    const { maxLifetimeMs, clockToleranceMs } = config.tokens
    const applied = await recorder.perform({ config, nats: system.nats }, {}, async report => {
      const done = await applyStreams(system.nats.connection, definitions, allowLoss)
      await applyBuckets(system.nats, {
        replicas: config.natsReplicas,
        revocationsMs: maxLifetimeMs + clockToleranceMs,
      })
      report(changesOf(done) ?? { changed: 'nothing' })
      return done
    })
    const rows = applied.map(({ stream, outcome, changed }) => ({ stream, outcome, changed }))
    await print(
      flags.json
        ? `${JSON.stringify(rows, undefined, 2)}\n`
        : table(
            [{ title: 'stream' }, { title: 'outcome' }, { title: 'changed' }],
            rows.map(({ stream, outcome, changed }) => [stream, outcome, changed.join(', ')]),
          ),
    )
    const kept = applied.flatMap(({ stream, kept }) => kept.map(setting => `${setting} of ${stream}`))
    if (kept.length > 0)
      throw new CliError(
        'NOT_READY',
        `JetStream does not change ${kept.join(', ')}: a new stream is needed to remove the difference`,
      )
  } finally {
    await system.close()
  }
}
