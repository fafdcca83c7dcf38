import { setTimeout as sleep } from 'node:timers/promises'
import { Argument, Command, InvalidArgumentError } from 'commander'
import { askProjectionStatus } from '../../infra/nats/index.ts'
import { drop, type ProjectionName, setPaused } from '../../projections/index.ts'
import type { SystemFlags } from '../command/system-options.ts'
import { note } from '../terminal/output.ts'
import { changePlan, type Operation, operate, projectionArgument } from './projection-command.ts'

/** How long a command waits for the workers to do as they are told, ms. What they have been told stands all the same. */
const confirmMs = 10_000
const lookEveryMs = 100

/** Whether all workers that feed a view are as wanted, within some time. `none`: nobody feeds it. */
const untilWorkers = async (
  { nats }: Operation,
  projection: ProjectionName,
  isAsWanted: (states: readonly { generation: number; state: string }[]) => boolean,
): Promise<'done' | 'none' | 'late'> => {
  for (
    const deadline = performance.now() + confirmMs;
    performance.now() < deadline;
    await sleep(lookEveryMs)
  ) {
    const workers = await askProjectionStatus(nats)
    const states = workers
      .flatMap(({ projections }) => projections)
      .filter(one => one.projection === projection)
    if (states.length === 0) return 'none'
    if (isAsWanted(states.filter(({ streams }) => streams.length > 0))) return 'done'
  }
  return 'late'
}

const later = {
  none: 'no worker runs: it holds from when one does',
  late: 'not all workers have confirmed it yet',
}

const pauseOrResume =
  (paused: boolean) =>
  (projection: ProjectionName, flags: SystemFlags): Promise<void> =>
    operate(flags, async operation => {
      await changePlan(operation, projection, plan => setPaused(plan, paused))
      const answer = await untilWorkers(operation, projection, states =>
        states.every(({ state }) => (state === 'paused') === paused),
      )
      note(
        `${projection} ${paused ? 'is paused' : 'goes on'}${answer === 'done' ? '' : `; ${later[answer]}`}`,
      )
    })

export const pauseCommand = (): Command =>
  projectionArgument(
    new Command('pause').description(
      'leave a view as it is, all its generations, until it is resumed; the log keeps what comes',
    ),
  ).action(pauseOrResume(true))

export const resumeCommand = (): Command =>
  projectionArgument(new Command('resume').description('go on with a paused view where it stood')).action(
    pauseOrResume(false),
  )

/** A generation's number. */
export const generationNumber = (value: string): number => {
  const number = Number(value)
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError(
      'the number of a generation is wanted, as "confab projections ls" shows it',
    )
  return number
}

const dropGeneration = (projection: ProjectionName, generation: number, flags: SystemFlags): Promise<void> =>
  operate(flags, async operation => {
    await changePlan(operation, projection, plan => drop(plan, generation))
    const answer = await untilWorkers(operation, projection, states =>
      states.every(state => state.generation !== generation),
    )
    // Workers drop the rows of what they fed; without one nobody would.
    if (answer === 'none') await (await operation.stores(projection)).drop(projection, generation)
    note(`generation ${generation} of ${projection} is dropped${answer === 'late' ? `; ${later.late}` : ''}`)
  })

export const dropCommand = (): Command =>
  projectionArgument(
    new Command('drop').description('forget a generation that is not read: its rows, its checkpoints'),
  )
    .addArgument(new Argument('<generation>', 'which').argParser(generationNumber))
    .action(dropGeneration)
