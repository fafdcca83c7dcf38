import { Command } from 'commander'
import { type ProjectionName, setPaused } from '../../projections/index.ts'
import type { SystemFlags } from '../command/config-flags.ts'
import { note } from '../terminal/output.ts'
import { changePlan, operate, projectionArgument } from './projection-command.ts'
import { unconfirmedText, waitForWorkers } from './wait-for-workers.ts'

const pauseOrResume =
  (isPaused: boolean) =>
  (projection: ProjectionName, flags: SystemFlags): Promise<void> =>
    operate(flags, async operation => {
      await changePlan(operation, projection, plan => setPaused(plan, isPaused))
      const confirmation = await waitForWorkers(operation, projection, states =>
        states.every(({ state }) => (state === 'paused') === isPaused),
      )
      note(
        `${projection} is ${isPaused ? 'paused' : 'resumed'}${confirmation === 'done' ? '' : `; ${unconfirmedText[confirmation]}`}`,
      )
    })

export const pauseCommand = (): Command =>
  projectionArgument(
    new Command('pause').description('Pause a view with all its generations; the log keeps new events'),
  ).action(pauseOrResume(true))

export const resumeCommand = (): Command =>
  projectionArgument(new Command('resume').description('Resume a paused view at its position')).action(
    pauseOrResume(false),
  )
