import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { askProjectionStatus } from '../../infra/nats/index.ts'
import {
  levelEvents,
  PlanError,
  PlanProblem,
  type ProjectionName,
  rebuild,
  versionOf,
} from '../../projections/index.ts'
import { CliError } from '../command/cli-error.ts'
import { type CommandRecorder, records } from '../command/command-effect.ts'
import type { SystemFlags } from '../command/config-flags.ts'
import { interruption } from '../command/run-command.ts'
import { count, note, span } from '../terminal/output.ts'
import { startBar } from '../terminal/progress-bar.ts'
import { type GenerationRow, readOverview } from './overview.ts'
import { changePlan, type Operation, operate, projectionArgument, targetOf } from './projection-command.ts'

interface RebuildFlags extends SystemFlags {
  readonly detach?: boolean
}

const pollMs = 300
/** Time over which the command measures the rate, ms. */
const rateWindowMs = 10_000

/** Whether a generation is level with the log in every stream, except for events under way. */
export const isLevel = ({ streams }: GenerationRow): boolean =>
  streams.every(({ lagEvents }) => lagEvents <= levelEvents)

const isUnfed = ({ state }: GenerationRow): boolean => state === 'stopped'

/**
 * Shows progress until a generation is level with the log. Throws CliError INTERRUPTED, and PlanError when it is
 * dropped.
 */
const followBuild = async (
  operation: Operation,
  projection: ProjectionName,
  generation: number,
  signal: AbortSignal,
): Promise<void> => {
  const samples: { at: number; done: number }[] = []
  let view = { done: 0, total: 1, text: 'waiting for a worker' }
  const bar = startBar(() => view)
  try {
    for (;;) {
      if (signal.aborted)
        throw new CliError(
          'INTERRUPTED',
          'the build continues without this command: "confab projections ls" shows its progress',
        )
      const rows = (await readOverview(operation, projection)).filter(one => one.generation === generation)
      if (rows.length === 0)
        throw new PlanError(
          PlanProblem.missing,
          `generation ${generation} of ${projection} was dropped during the build`,
        )
      const done = rows.flatMap(({ streams }) => streams).reduce((sum, { position }) => sum + position, 0)
      const lag = rows.reduce((sum, { lagEvents }) => sum + lagEvents, 0)
      const stuck = rows.find(({ state }) => state === 'failing' || state === 'paused')
      const now = performance.now()
      samples.push({ at: now, done })
      while ((samples[0]?.at ?? now) < now - rateWindowMs) samples.shift()
      const [first = { at: now, done }] = samples
      const rate = now > first.at ? ((done - first.done) * 1000) / (now - first.at) : 0
      view = {
        done,
        total: done + lag,
        text: [
          `${count(done)} of ${count(done + lag)} events`,
          `${count(Math.round(rate))}/s`,
          ...(rate > 0 && lag > 0 ? [`${span((lag / rate) * 1000)} left`] : []),
          ...(stuck === undefined ? [] : [stuck.reason ?? stuck.state]),
          ...(rate === 0 && samples.length > 5 && rows.some(isUnfed) ? ['no worker feeds it'] : []),
        ].join(', '),
      }
      if (rows.every(isLevel) && !rows.some(isUnfed)) return
      await sleep(pollMs)
    }
  } finally {
    bar.stop()
  }
}

const rebuildView = (
  recorder: CommandRecorder,
  projection: ProjectionName,
  flags: RebuildFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const workers = await askProjectionStatus(operation.nats)
    const isFed = workers.some(({ projections }) => projections.some(one => one.projection === projection))
    if (!isFed && !flags.detach)
      throw new CliError(
        'NO_PROJECTION_WORKER',
        `no worker builds ${projection}: start a server with the role "projections", or use --detach to build when one starts`,
      )
    const version = versionOf(projection)
    const generation = await recorder.perform(operation, targetOf(projection), async report => {
      const plan = await changePlan(operation, projection, plan => rebuild(plan, version))
      const generation = plan.generations.at(-1)?.generation ?? 0
      report({ generation })
      return generation
    })
    if (flags.detach)
      return note(
        `generation ${generation} of ${projection} is built next to the live one: "confab projections ls" shows its progress`,
      )
    note(`building generation ${generation} of ${projection} next to the live one`)
    const { signal, release } = interruption()
    const startedAt = performance.now()
    try {
      await followBuild(operation, projection, generation, signal)
    } finally {
      release()
    }
    note(
      `generation ${generation} of ${projection} is level with the log after ${span(performance.now() - startedAt)}; next: "confab projections switch ${projection} --compare"`,
    )
  })

export const rebuildCommand = (): Command =>
  records(
    'projections.rebuild',
    projectionArgument(
      new Command('rebuild').description(
        'Build a view from the first event, as a new generation next to the live one',
      ),
    ).option('--detach', 'Do not wait until the generation is level with the log'),
    rebuildView,
  )
