import { Command } from 'commander'
import { type ProjectionName, setPaused } from '../../projections/index.ts'
import { type CommandRecorder, records } from '../command/command-effect.ts'
import type { SystemFlags } from '../command/config-flags.ts'
import { note } from '../terminal/output.ts'
import { changePlan, operate, projectionArgument, targetOf } from './projection-command.ts'
import { unconfirmedText, waitForWorkers } from './wait-for-workers.ts'

const pauseOrResume =
  (isPaused: boolean) =>
  (recorder: CommandRecorder, projection: ProjectionName, flags: SystemFlags): Promise<void> =>
    operate(flags, operation =>
      recorder.perform(operation, targetOf(projection), async () => {
        await changePlan(operation, projection, plan => setPaused(plan, isPaused))
        const confirmation = await waitForWorkers(operation, projection, states =>
          states.every(({ state }) => (state === 'paused') === isPaused),
        )
        note(
          `${projection} is ${isPaused ? 'paused' : 'resumed'}${confirmation === 'done' ? '' : `; ${unconfirmedText[confirmation]}`}`,
        )
      }),
    )

export const pauseCommand = (): Command =>
  records(
    'projections.pause',
    projectionArgument(
      new Command('pause').description('Pause a view with all its generations; the log keeps new events'),
    ),
    pauseOrResume(true),
  )

export const resumeCommand = (): Command =>
  records(
    'projections.resume',
    projectionArgument(new Command('resume').description('Resume a paused view at its position')),
    pauseOrResume(false),
  )
