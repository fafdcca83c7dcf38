import { InvalidArgumentError } from 'commander'
import { Family, partitionCount } from '../../events/index.ts'
import type { Nats } from '../../infra/nats/index.ts'
import type { JournaledMove, OperationJournal, ReshardOperation } from '../../infra/nats/reshard/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { confirm } from '../command/confirm.ts'
import { countUpTo } from '../command/flag-values.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, print, table } from '../terminal/output.ts'

export interface ReshardFlags extends SystemFlags {
  readonly streams?: number
  readonly family: Family
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly resume?: boolean
  readonly json?: boolean
}

/** Only this command loads the modules that move partitions. */
const loadReshard = () => import('../../infra/nats/reshard/index.ts')

/** A number of streams: at most one for each partition. */
export const streamCount = countUpTo(partitionCount)

export const familyName = (value: string): Family => {
  const family = Object.values(Family).find(one => one === value)
  if (family === undefined) throw new InvalidArgumentError('Give conv or user.')
  return family
}

type Planned = Pick<ReshardOperation, 'family' | 'moves'>

const movesText = (moves: readonly JournaledMove[], isJson: boolean | undefined): string =>
  isJson
    ? `${JSON.stringify(
        {
          moves: moves.flatMap(({ from, to, partitions, refusedMs }) =>
            partitions.map(partition => ({
              partition,
              from,
              to,
              ...(refusedMs === undefined ? {} : { refusedMs: Math.ceil(refusedMs) }),
            })),
          ),
        },
        undefined,
        2,
      )}\n`
    : table(
        [
          { title: 'from' },
          { title: 'to' },
          { title: 'partitions', align: 'right' },
          { title: 'refused', align: 'right' },
        ],
        moves.map(({ from, to, partitions, refusedMs }) => [
          from,
          to,
          count(partitions.length),
          refusedMs === undefined ? '–' : `${count(Math.ceil(refusedMs))} ms`,
        ]),
      )

/** Plans new moves, or returns the unfinished ones. Throws CliError. */
const plan = async (nats: Nats, journal: OperationJournal, flags: ReshardFlags): Promise<Planned> => {
  const { familyStreams, hasSeveralRegions, planMoves } = await loadReshard()
  const before = await journal.read()
  const isUnfinished = before !== undefined && !before.isDone
  if (isUnfinished && !flags.dryRun && (await journal.isRunning()))
    throw new CliError(
      'OPERATION_RUNNING',
      'another operator moves partitions now: wait until the command ends',
    )
  if (flags.resume) {
    if (isUnfinished) return before
    throw new CliError('NO_SUCH_OPERATION', 'no move of partitions is unfinished: nothing to resume')
  }
  if (isUnfinished)
    throw new CliError(
      'OPERATION_UNFINISHED',
      `partitions of ${before.family} are half moved: finish with "confab streams reshard --resume"`,
    )
  if (flags.streams === undefined) throw new CliError('BAD_OPTION', 'give --streams <n>, or --resume')
  const { family } = flags
  const streams = await familyStreams(nats, family)
  if (await hasSeveralRegions(nats))
    throw new CliError(
      'BAD_OPTION',
      'the streams have mirrors in other regions, which "streams reshard" does not move yet',
    )
  if (flags.streams < streams.size)
    throw new CliError(
      'BAD_OPTION',
      `--streams: ${family} has ${streams.size} streams already, and streams are only added`,
    )
  return { family, moves: planMoves(family, streams, flags.streams) }
}

const carryOut = async (
  nats: Nats,
  journal: OperationJournal,
  planned: Planned,
): Promise<JournaledMove[]> => {
  const { MirrorBehindError, OperationTakenError, runMoves } = await loadReshard()
  const { signal, release } = interruption()
  try {
    await journal.begin(planned)
    const refused = await runMoves(
      { ...planned, isDone: false, beat: 0 },
      { nats, journal, signal, onStep: (to, step) => note(`${to}: ${step}`) },
    )
    return planned.moves.map((move, i) => {
      const refusedMs = refused[i]
      return refusedMs === undefined ? move : { ...move, refusedMs }
    })
  } catch (error) {
    if (error instanceof MirrorBehindError) throw new CliError('MIRROR_BEHIND', error.message, error)
    if (error instanceof OperationTakenError) throw new CliError('OPERATION_RUNNING', error.message, error)
    if (signal.aborted)
      throw new CliError(
        'INTERRUPTED',
        'stopped before the end: finish with "confab streams reshard --resume"',
      )
    throw error
  } finally {
    release()
  }
}

/** `confab streams reshard`: adds streams to a family of a running system, and moves partitions to them. */
export const reshard = async (recorder: CommandRecorder, flags: ReshardFlags): Promise<void> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-streams')
  const { nats } = system
  try {
    const { OperationJournal } = await loadReshard()
    const journal = await OperationJournal.open(nats)
    try {
      const planned = await plan(nats, journal, flags)
      const { family, moves } = planned
      recorder.nothingChanged()
      if (flags.dryRun || moves.length === 0) {
        if (moves.length === 0) note(`${family} has as many streams already`)
        return await print(movesText(moves, flags.json))
      }
      note(movesText(moves, false).trimEnd())
      const partitions = moves.reduce((sum, move) => sum + move.partitions.length, 0)
      const question = `Move ${count(partitions)} partitions of ${family} to ${moves.map(({ to }) => to).join(', ')}?`
      if (!flags.yes && !(await confirm(question))) return note('nothing was moved')
      const done = await recorder.perform({ config, nats }, {}, async report => {
        report({ family, streams: moves.map(({ to }) => to).join(', ') })
        return await carryOut(nats, journal, planned)
      })
      await print(movesText(done, flags.json))
    } finally {
      await journal.close()
    }
  } finally {
    await system.close()
  }
}
