import { changesOf } from '../../app/open-audit.ts'
import { openNats } from '../../app/open-nats.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import {
  type Applied,
  applyBuckets,
  applyStreams,
  type Nats,
  planBuckets,
  planStreams,
  type StreamChange,
} from '../../infra/nats/index.ts'
import {
  applyRegions,
  type Conflict,
  isOneRegion,
  type OpenRegion,
  planRegions,
} from '../../infra/nats/regions/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { openAllRegions, readTopology } from '../command/regions.ts'
import { bytes, type Column, count, note, print, styled, table } from '../terminal/output.ts'

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

type Change = StreamChange & { readonly region?: string }
type AppliedStream = Applied & { readonly region?: string }

/** A column that only a system of several regions has. */
const regionColumn = (isShown: boolean): Column[] => (isShown ? [{ title: 'region' }] : [])
const regionCell = ({ region }: { readonly region?: string }): string[] =>
  region === undefined ? [] : [region]

const changesTable = (changes: readonly Change[], hasRegions: boolean): string =>
  table(
    [
      ...regionColumn(hasRegions),
      { title: 'stream' },
      { title: 'setting' },
      { title: 'now' },
      { title: 'as defined' },
      { title: 'effect' },
    ],
    changes.map(({ stream, field, from, to, destructive, ...change }) => [
      ...regionCell(change),
      stream,
      field,
      valueText(field, from),
      valueText(field, to),
      destructive
        ? styled('red', 'loses messages')
        : field === 'name' || (field.startsWith('consumer ') && from === undefined)
          ? 'created'
          : 'updated',
    ]),
  )

const appliedTable = (applied: readonly AppliedStream[], hasRegions: boolean): string =>
  table(
    [...regionColumn(hasRegions), { title: 'stream' }, { title: 'outcome' }, { title: 'changed' }],
    applied.map(({ stream, outcome, changed, ...one }) => [
      ...regionCell(one),
      stream,
      outcome,
      changed.join(', '),
    ]),
  )

interface Plan {
  readonly changes: readonly Change[]
  readonly kept: readonly string[]
  /** Changes of homes, which apply refuses whatever is accepted. */
  readonly conflicts: readonly Conflict[]
}

const printPlan = async (
  { changes, kept, conflicts }: Plan,
  hasRegions: boolean,
  isJson: boolean,
): Promise<void> => {
  if (isJson) await print(`${JSON.stringify({ changes }, undefined, 2)}\n`)
  else if (changes.length > 0) await print(changesTable(changes, hasRegions))
  if (changes.length === 0 && conflicts.length === 0) note('all streams are as defined')
  if (kept.length > 0) note(`JetStream does not change ${kept.join(', ')}: only a new stream can differ`)
  for (const { stream, region, why } of conflicts)
    note(`"confab streams apply" refuses this topology: ${stream} in ${region} ${why}`)
  const losing = [...new Set(changes.flatMap(({ stream, destructive }) => (destructive ? [stream] : [])))]
  const acceptable = losing.filter(name => conflicts.every(({ stream }) => stream !== name))
  if (acceptable.length > 0)
    note(`"confab streams apply" refuses these changes without --allow-loss ${acceptable.join(' ')}`)
}

/** Returns what the buckets need beside their definitions. */
const bucketNeeds = ({ natsReplicas, tokens }: ConfabConfig) => ({
  replicas: natsReplicas,
  revocationsMs: tokens.maxLifetimeMs + tokens.clockToleranceMs,
})

/** `confab streams plan`: shows what `apply` would change. */
export const plan = async (flags: ApplyFlags): Promise<void> => {
  const config = configOf(flags)
  const { topology, definitions } = readTopology(config)
  const isJson = flags.json === true
  if (isOneRegion(topology)) {
    const system = await openExisting(config, 'confab-streams')
    try {
      const planned = await planStreams(system.nats.connection, definitions)
      const buckets = await planBuckets(system.nats, bucketNeeds(config))
      const changes = [...planned.changes, ...buckets.changes]
      await printPlan({ changes, kept: [...planned.kept, ...buckets.kept], conflicts: [] }, false, isJson)
    } finally {
      await system.close()
    }
    return
  }
  const regions = await openAllRegions(config, topology, 'confab-streams')
  try {
    const planned = await planRegions(topology, regions.open, definitions)
    const changes: Change[] = [...planned.changes]
    const kept = [...planned.kept]
    for (const { region, nats } of regions.open.filter(one => !one.region.isWitness)) {
      const buckets = await planBuckets(nats, bucketNeeds(config))
      changes.push(...buckets.changes.map(change => ({ region: region.name, ...change })))
      kept.push(...buckets.kept.map(text => `${text} in ${region.name}`))
    }
    await printPlan({ ...planned, changes, kept }, true, isJson)
  } finally {
    await regions.close()
  }
}

/** Applies the definitions to the regions of a system. */
type ApplyTo = (options: {
  readonly allowLoss: ReadonlySet<string>
  readonly onApplied: (applied: AppliedStream) => void
}) => Promise<unknown>

interface AppliedSystem {
  /** The connection to the region whose audit stream records the action. */
  readonly recorded: Nats
  /** The connection to each region, which has buckets of its own. */
  readonly regions: readonly OpenRegion[]
  readonly hasRegions: boolean
  readonly applyTo: ApplyTo
}

const applySystem = async (
  recorder: CommandRecorder,
  flags: ApplyFlags,
  config: ConfabConfig,
  { recorded, regions, hasRegions, applyTo }: AppliedSystem,
): Promise<void> => {
  const applied: AppliedStream[] = []
  const show = async (shown: readonly AppliedStream[]): Promise<void> => {
    const rows = shown.map(({ kept, ...row }) => row)
    await print(flags.json ? `${JSON.stringify(rows, undefined, 2)}\n` : appliedTable(shown, hasRegions))
  }
  try {
    await recorder.perform({ config, nats: recorded }, {}, async report => {
      try {
        const allowLoss = new Set(flags.allowLoss)
        await applyTo({ allowLoss, onApplied: one => applied.push(one) })
        for (const { region, nats } of regions)
          await applyBuckets(nats, {
            ...bucketNeeds(config),
            allowLoss,
            onApplied: one => applied.push(hasRegions ? { region: region.name, ...one } : one),
          })
      } finally {
        // Also when a later stream fails: the record and the output have what was changed.
        report(changesOf(applied) ?? { changed: 'nothing' })
      }
    })
  } catch (error) {
    const changed = applied.filter(({ outcome }) => outcome !== 'unchanged')
    if (changed.length > 0) await show(changed)
    throw error
  }
  await show(applied)
  const kept = applied.flatMap(({ stream, region, kept }) =>
    kept.map(setting => `${setting} of ${stream}${region === undefined ? '' : ` in ${region}`}`),
  )
  if (kept.length > 0)
    throw new CliError(
      'NOT_READY',
      `JetStream does not change ${kept.join(', ')}: a new stream is needed to remove the difference`,
    )
}

/** `confab streams apply`: makes the streams and the buckets as they are defined, in all regions. */
export const apply = async (recorder: CommandRecorder, flags: ApplyFlags): Promise<void> => {
  const config = configOf(flags)
  const { topology, definitions } = readTopology(config)
  if (isOneRegion(topology)) {
    const system = await openNats(config, 'confab-streams', note)
    try {
      await applySystem(recorder, flags, config, {
        recorded: system.nats,
        regions: topology.regions.map(region => ({ region, nats: system.nats })),
        hasRegions: false,
        applyTo: options => applyStreams(system.nats.connection, definitions, options),
      })
    } finally {
      await system.close()
    }
    return
  }
  const regions = await openAllRegions(config, topology, 'confab-streams')
  try {
    const withStreams = regions.open.filter(({ region }) => !region.isWitness)
    await applySystem(recorder, flags, config, {
      recorded: (withStreams[0] as OpenRegion).nats,
      regions: withStreams,
      hasRegions: true,
      applyTo: options => applyRegions(topology, regions.open, definitions, options),
    })
  } finally {
    await regions.close()
  }
}
