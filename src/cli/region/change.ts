import { type OpenRegions, openRegions } from '../../app/open-regions.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { isOneRegion, type OpenRegion, type Topology } from '../../infra/nats/regions/index.ts'
import type {
  DoneStep,
  PlannedStream,
  RegionJournal,
  RegionOperation,
  RegionStep,
} from '../../infra/nats/regions/operations.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, type SystemFlags } from '../command/config-flags.ts'
import { confirm } from '../command/confirm.ts'
import { readTopology, type SystemTopology } from '../command/regions.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, span, styled, table } from '../terminal/output.ts'

export interface ChangeFlags extends SystemFlags {
  readonly to?: string
  readonly all?: boolean
  readonly fenced?: readonly string[]
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly resume?: boolean
  readonly json?: boolean
}

/** Only these commands load the modules that change homes. */
export const loadOperations = () => import('../../infra/nats/regions/operations.ts')

/** Time in which a region has to accept a connection, ms: a failover shall not wait for the region that is lost. */
const connectMs = 1_500

const stepsOf = async (kind: RegionOperation['kind']): Promise<readonly RegionStep[]> => {
  const { failoverSteps, rejoinSteps, switchOverSteps } = await loadOperations()
  return kind === 'failover' ? failoverSteps : kind === 'rejoin' ? rejoinSteps : switchOverSteps
}

export interface ChangeResult {
  readonly operation: Pick<RegionOperation, 'kind' | 'epoch' | 'cut' | 'homeLast' | 'refusedMs' | 'streams'>
  readonly steps: readonly (Pick<DoneStep, 'stream' | 'step'> &
    Partial<Pick<DoneStep, 'at' | 'ms'>> & { readonly result: string })[]
}

/** Events that the old home may have stored, and the new one lacks, by stream. Unknown ones are absent. */
const lostAtMost = ({ kind, cut, homeLast }: ChangeResult['operation']): Record<string, number> =>
  Object.fromEntries(
    Object.entries(cut).flatMap(([stream, last]) => {
      const known = kind === 'switch-over' ? last : homeLast[stream]
      return known === undefined ? [] : [[stream, Math.max(0, known - last)]]
    }),
  )

const jsonOf = ({ operation, steps }: ChangeResult) => ({
  steps: steps.map(({ at, ...step }) => ({
    ...step,
    ...(at === undefined ? {} : { at: new Date(at).toISOString() }),
  })),
  ...(operation.epoch === undefined ? {} : { epoch: operation.epoch }),
  cut: operation.cut,
  lostAtMost: lostAtMost(operation),
  ...(operation.kind === 'switch-over' ? { refusedMs: operation.refusedMs } : {}),
})

/** Returns the result of a change of homes as JSON. */
export const changeJson = (result: ChangeResult): string =>
  `${JSON.stringify(jsonOf(result), undefined, 2)}\n`

const resultText = (result: string): string =>
  result === 'done' ? styled('green', result) : result === 'failed' ? styled('red', result) : result

const stepsTable = ({ steps }: ChangeResult): string =>
  table(
    [{ title: 'step' }, { title: 'stream' }, { title: 'took', align: 'right' }, { title: 'result' }],
    steps.map(({ step, stream, ms, result }) => [
      step,
      stream,
      ms === undefined ? '–' : `${count(ms)} ms`,
      resultText(result),
    ]),
  )

const cutsTable = ({ operation }: ChangeResult): string => {
  const lost = lostAtMost(operation)
  const isPlanned = operation.kind === 'switch-over'
  return table(
    [
      { title: 'stream' },
      { title: 'epoch', align: 'right' },
      { title: 'cut', align: 'right' },
      isPlanned ? { title: 'writes refused', align: 'right' } : { title: 'lost at most', align: 'right' },
    ],
    operation.streams.map(stream => [
      stream,
      operation.epoch === undefined ? '–' : String(operation.epoch),
      operation.cut[stream] === undefined ? '–' : count(operation.cut[stream]),
      isPlanned
        ? operation.refusedMs[stream] === undefined
          ? '–'
          : `${count(operation.refusedMs[stream])} ms`
        : lost[stream] === undefined
          ? 'unknown'
          : count(lost[stream]),
    ]),
  )
}

export const printResult = async (result: ChangeResult, isJson: boolean | undefined): Promise<void> => {
  if (isJson) return await print(changeJson(result))
  await print(`${stepsTable(result)}\n${cutsTable(result)}`)
}

/** Returns a function that shows the steps of an operation as they begin. */
export const showStep = (): ((step: RegionStep, streams: readonly string[]) => void) => {
  const startedAt = performance.now()
  return (step, streams) =>
    note(`${span(performance.now() - startedAt).padStart(6)}  ${step.padEnd(9)}  ${streams.join(', ')}`)
}

const plansTable = (plans: readonly PlannedStream[], to: string): string =>
  table(
    [
      { title: 'stream' },
      { title: 'home' },
      { title: 'last', align: 'right' },
      { title: `last in ${to}`, align: 'right' },
      { title: 'lacks', align: 'right' },
    ],
    plans.map(({ stream, from, last, homeLast }) => [
      stream,
      from,
      homeLast === undefined ? 'unknown' : count(homeLast),
      last === undefined ? 'no copy' : count(last),
      homeLast === undefined || last === undefined ? 'unknown' : count(Math.max(0, homeLast - last)),
    ]),
  )

/** The regions, the journal and the flags of a command. */
export interface RegionWork {
  readonly config: ConfabConfig
  readonly system: SystemTopology
  readonly regions: OpenRegions
  readonly journal: RegionJournal
}

const checkRegion = ({ regions }: Topology, flag: string, name: string | undefined): void => {
  if (name === undefined || regions.some(region => region.name === name)) return
  throw new CliError(
    'BAD_OPTION',
    `${flag}: the topology has no region ${name} (it has ${regions.map(one => one.name).join(', ')})`,
  )
}

/** Throws the coded error of a problem with an operation on regions. */
export const throwCoded = async (error: unknown, command: string): Promise<never> => {
  const { MirrorTooFarBehindError, NoMajorityError, OperationRunningError } = await loadOperations()
  if (error instanceof MirrorTooFarBehindError) throw new CliError('MIRROR_BEHIND', error.message, error)
  if (error instanceof NoMajorityError)
    throw new CliError(
      'NO_MAJORITY',
      `${error.message}: repair the links, or name a region that is off with --fenced`,
      error,
    )
  if (error instanceof OperationRunningError) throw new CliError('OPERATION_RUNNING', error.message, error)
  if (CliError.is(error) && error.code === 'INTERRUPTED')
    throw new CliError(
      'INTERRUPTED',
      `stopped before the end: finish with "confab region ${command} --resume"`,
    )
  throw error
}

/** Connects to the regions that answer, opens the journal, and calls `work`. Throws CliError, NatsError. */
export const withRegions = async (
  flags: Pick<ChangeFlags, 'fenced' | 'to'> & SystemFlags,
  command: string,
  work: (opened: RegionWork) => Promise<void>,
): Promise<void> => {
  const config = configOf(flags)
  const system = readTopology(config)
  const { topology } = system
  if (isOneRegion(topology))
    throw new CliError(
      'BAD_OPTION',
      'the topology has one region: name the file of a topology of several regions with --topology',
    )
  checkRegion(topology, '--to', flags.to)
  const fenced = [...new Set(flags.fenced)]
  for (const region of fenced) checkRegion(topology, '--fenced', region)
  if (flags.to !== undefined && fenced.includes(flags.to))
    throw new CliError('BAD_OPTION', `--fenced: ${flags.to} is to become the home`)
  const { RegionJournal } = await loadOperations()
  const regions = await openRegions(topology, config, 'confab-region', note, { timeoutMs: connectMs })
  try {
    for (const { region, why } of regions.unreachable) note(`region ${region.name}: ${why}`)
    const journal = await RegionJournal.open(regions.open, topology.regions.length, fenced)
    try {
      await work({ config, system, regions, journal })
    } finally {
      await journal.close()
    }
  } catch (error) {
    await throwCoded(error, command)
  } finally {
    await regions.close()
  }
}

/**
 * Returns the unfinished operation to resume, or undefined for a new one. `replaces`: whether the new one makes up for
 * an unfinished one. Throws CliError.
 */
export const unfinishedOperation = async (
  { journal }: RegionWork,
  kind: RegionOperation['kind'],
  command: string,
  { resume, dryRun }: Pick<ChangeFlags, 'resume' | 'dryRun'>,
  replaces: (unfinished: RegionOperation) => Promise<boolean> = async () => false,
): Promise<RegionOperation | undefined> => {
  const before = journal.operation
  const isUnfinished = before !== undefined && !before.isDone
  if (isUnfinished && !dryRun && (await journal.isRunning()))
    throw new CliError('OPERATION_RUNNING', 'another operator changes the homes of streams: wait for its end')
  if (resume) {
    if (isUnfinished && before.kind === kind) return journal.operation
    throw new CliError(
      'NO_SUCH_OPERATION',
      isUnfinished
        ? `the unfinished operation is a ${before.kind}: finish with "confab region ${before.kind} --resume"`
        : `no ${command} is unfinished: nothing to resume`,
    )
  }
  if (isUnfinished && !dryRun && !(await replaces(before)))
    throw new CliError(
      'OPERATION_UNFINISHED',
      `a ${before.kind} of ${before.streams.join(', ')} to ${before.to} is not finished: "confab region ${before.kind} --resume"`,
    )
  return undefined
}

export const openRegion = ({ regions }: RegionWork, name: string): OpenRegion => {
  const found = regions.open.find(({ region }) => region.name === name)
  if (found !== undefined) return found
  throw new CliError('NO_SERVER', `region ${name} cannot be reached, so it cannot become a home`)
}

const streamsFor = async (
  { system: { topology, definitions }, regions }: RegionWork,
  streams: readonly string[],
  { all, to = '' }: ChangeFlags,
): Promise<readonly string[]> => {
  const { streamsElsewhere } = await loadOperations()
  if (all === streams.length > 0) throw new CliError('BAD_OPTION', 'give streams, or --all')
  if (all) return await streamsElsewhere(topology, definitions, regions.open, to)
  if (streams.length === 0) throw new CliError('BAD_OPTION', 'give streams, or --all')
  const unknown = streams.find(stream => definitions.every(({ name }) => name !== stream))
  if (unknown !== undefined) throw new CliError('NO_SUCH_STREAM', `there is no stream ${unknown}`)
  return [...new Set(streams)]
}

const planFor = async (
  { system: { topology, definitions }, regions }: RegionWork,
  streams: readonly string[],
  to: string,
): Promise<PlannedStream[]> => {
  const { PlacementError, planChange } = await loadOperations()
  try {
    return await planChange(topology, definitions, regions.open, streams, to)
  } catch (error) {
    if (error instanceof PlacementError) throw new CliError('BAD_OPTION', `--to: ${error.message}`, error)
    throw error
  }
}

const checkPlans = (
  work: RegionWork,
  kind: RegionOperation['kind'],
  plans: readonly PlannedStream[],
  to: string,
): void => {
  for (const { stream, from, last, further } of plans) {
    if (last === undefined) throw new CliError('MIRROR_BEHIND', `region ${to} has no mirror of ${stream}`)
    const isHomeOpen = work.regions.open.some(({ region }) => region.name === from)
    if (kind === 'switch-over' && !isHomeOpen)
      throw new CliError(
        'NO_SERVER',
        `region ${from}, the home of ${stream}, cannot be reached: a failover needs no home`,
      )
    if (kind === 'failover' && further !== undefined)
      throw new CliError(
        'MIRROR_BEHIND',
        `the mirror of ${stream} in ${further.region} has ${count(further.last - last)} messages more than ${to}: use --to ${further.region}`,
      )
  }
}

/** Ends a switch-over whose new home is lost before it was one. Always throws. */
const giveUp = async (
  recorder: CommandRecorder,
  { config, system: { topology, definitions }, regions: { open }, journal }: RegionWork,
  unfinished: RegionOperation,
): Promise<void> => {
  const { HomeChange } = await loadOperations()
  const streams = unfinished.streams.join(', ')
  const place = open.find(({ region }) => !region.isWitness)
  if (place !== undefined)
    await recorder.perform({ config, nats: place.nats }, {}, async report => {
      report({ streams, to: unfinished.to })
      await journal.resume(unfinished)
      await (await HomeChange.open({ topology, definitions, open, journal })).giveUp()
    })
  throw new CliError(
    'NO_SERVER',
    `region ${unfinished.to} cannot be reached, so it cannot become a home: the switch-over has ended, and the homes of ${streams} are the same as before`,
  )
}

/** `confab region failover` and `switch-over`: makes a region the home of streams. Throws CliError, NatsError. */
export const changeHome = async (
  kind: 'failover' | 'switch-over',
  recorder: CommandRecorder,
  names: readonly string[],
  flags: ChangeFlags,
): Promise<void> => {
  const command = kind
  await withRegions(flags, command, async work => {
    recorder.nothingChanged()
    const unfinished = await unfinishedOperation(work, kind, command, flags, async before => {
      // When the region that was to become the home is lost, or the home of a switch-over. A failover gives each of the
      // streams a home, whatever the operation has done.
      if (kind !== 'failover' || flags.to === undefined) return false
      const streams = await streamsFor(work, names, flags)
      return before.kind === 'rejoin' || before.streams.every(stream => streams.includes(stream))
    })
    const to = unfinished?.to ?? flags.to
    if (to === undefined) throw new CliError('BAD_OPTION', 'give --to <region>, or --resume')
    if (unfinished?.kind === 'switch-over' && work.regions.open.every(({ region }) => region.name !== to))
      return await giveUp(recorder, work, unfinished)
    const target = openRegion(work, to)
    const streams = unfinished?.streams ?? (await streamsFor(work, names, { ...flags, to }))
    if (streams.length === 0) return note(`${to} is the home of all streams already`)
    const plans = unfinished === undefined ? await planFor(work, streams, to) : []
    if (unfinished === undefined) {
      checkPlans(work, kind, plans, to)
      if (kind === 'failover')
        for (const { stream, from } of plans)
          if (work.regions.open.some(({ region }) => region.name === from) && !flags.fenced?.includes(from))
            note(`${from}, the home of ${stream}, answers: "confab region switch-over" would lose nothing`)
    }
    const planned = (await stepsOf(kind)).flatMap(step =>
      streams.map(stream => ({ step, stream, result: 'planned' })),
    )
    const homeLast = Object.fromEntries(
      plans.flatMap(({ stream, homeLast: last }) => (last === undefined ? [] : [[stream, last]])),
    )
    const nothing = { kind, streams, cut: {}, homeLast, refusedMs: {} }
    if (flags.dryRun) {
      const cut = Object.fromEntries(plans.map(({ stream, last = 0 }) => [stream, last]))
      if (!flags.json) return await print(plansTable(plans, to))
      return await print(changeJson({ operation: { ...nothing, cut }, steps: planned }))
    }
    if (plans.length > 0) note(plansTable(plans, to).trimEnd())
    const question = `${unfinished === undefined ? 'Make' : 'Finish to make'} ${to} the home of ${streams.join(', ')}?`
    if (!flags.yes && !(await confirm(question))) return note('nothing was changed')
    const { HomeChange } = await loadOperations()
    const fences = flags.fenced === undefined ? {} : { fenced: [...new Set(flags.fenced)] }
    const { signal, release } = interruption()
    try {
      const done = await recorder.perform({ config: work.config, nats: target.nats }, {}, async report => {
        report({ streams: streams.join(', '), to })
        const { topology, definitions } = work.system
        if (unfinished !== undefined) await work.journal.resume({ ...unfinished, ...fences })
        else
          await work.journal.begin({
            kind,
            streams,
            to,
            homeLast,
            ...fences,
          })
        const change = await HomeChange.open({
          topology,
          definitions,
          open: work.regions.open,
          journal: work.journal,
          signal,
          onStep: showStep(),
        })
        return await change.run()
      })
      await printResult({ operation: done, steps: done.steps }, flags.json)
    } finally {
      release()
      if (work.journal.operation?.isDone === false) note(`finish with "confab region ${command} --resume"`)
    }
  })
}
