import { Argument, Command } from 'commander'
import { drop, type ProjectionName, switchTo } from '../../projections/index.ts'
import { type CommandRecorder, records } from '../command/command-effect.ts'
import type { SystemFlags } from '../command/config-flags.ts'
import { note } from '../terminal/output.ts'
import { checkLevel, compareAndReport, otherGeneration } from './compare.ts'
import {
  changePlan,
  generationNumber,
  operate,
  planOf,
  projectionArgument,
  targetOf,
} from './projection-command.ts'
import { unconfirmedText, waitForWorkers } from './wait-for-workers.ts'

interface SwitchFlags extends SystemFlags {
  readonly compare?: boolean
  readonly force?: boolean
}

const switchView = (
  recorder: CommandRecorder,
  projection: ProjectionName,
  target: number | undefined,
  flags: SwitchFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const plan = await planOf(operation, projection)
    const generation = target ?? otherGeneration(plan, projection)
    // Throws for an unknown generation, before the checks below report on it.
    switchTo(plan, generation)
    if (generation === plan.live) {
      recorder.nothingChanged()
      return note(`generation ${generation} of ${projection} is the live one already`)
    }
    if (!flags.force) await checkLevel(operation, projection, generation)
    await recorder.perform(operation, targetOf(projection, generation), async () => {
      if (flags.compare) await compareAndReport(operation, projection, [plan.live, generation])
      else if (generation > plan.live)
        note(
          `generation ${generation} was not compared with generation ${plan.live}; --compare does that first`,
        )
      await changePlan(operation, projection, current => switchTo(current, generation))
    })
    note(
      `queries read generation ${generation} of ${projection}. Workers keep generation ${plan.live} up to date: ` +
        `"confab projections switch ${projection} ${plan.live}" switches back, ` +
        `"confab projections drop ${projection} ${plan.live}" deletes it`,
    )
  })

const dropGeneration = (
  recorder: CommandRecorder,
  projection: ProjectionName,
  generation: number,
  flags: SystemFlags,
): Promise<void> =>
  operate(flags, operation =>
    recorder.perform(operation, targetOf(projection, generation), async () => {
      await changePlan(operation, projection, plan => drop(plan, generation))
      const confirmation = await waitForWorkers(operation, projection, states =>
        states.every(state => state.generation !== generation),
      )
      // Workers delete the rows of the generations that they feed. Without a worker, this command deletes them.
      if (confirmation === 'none') await (await operation.stores(projection)).drop(projection, generation)
      note(
        `generation ${generation} of ${projection} is dropped${confirmation === 'late' ? `; ${unconfirmedText.late}` : ''}`,
      )
    }),
  )

export const switchCommand = (): Command =>
  records(
    'projections.switch',
    projectionArgument(
      new Command('switch').description('Make queries read another generation of a view, newer or older'),
    )
      .addArgument(
        new Argument('[generation]', 'Generation to read (default: the one under construction)').argParser(
          generationNumber,
        ),
      )
      .option('--compare', 'Compare it with the live generation first; stop if they differ')
      .option('--force', 'Switch even if the generation is behind the log'),
    switchView,
  )

export const dropCommand = (): Command =>
  records(
    'projections.drop',
    projectionArgument(
      new Command('drop').description(
        'Delete a generation that queries do not read, with its rows and checkpoints',
      ),
    ).addArgument(new Argument('<generation>', 'Generation to delete').argParser(generationNumber)),
    dropGeneration,
  )
