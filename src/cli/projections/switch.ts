import { Argument, Command } from 'commander'
import { type ProjectionName, switchTo } from '../../projections/index.ts'
import type { SystemFlags } from '../command/system-options.ts'
import { note } from '../terminal/output.ts'
import { checkLevel, compareAndTell, otherGeneration } from './compare.ts'
import { generationNumber } from './pause.ts'
import { changePlan, operate, planOf, projectionArgument } from './projection-command.ts'

interface SwitchFlags extends SystemFlags {
  readonly compare?: boolean
  readonly force?: boolean
}

const switchView = (
  projection: ProjectionName,
  wanted: number | undefined,
  flags: SwitchFlags,
): Promise<void> =>
  operate(flags, async operation => {
    const plan = await planOf(operation, projection)
    const generation = wanted ?? otherGeneration(plan, projection)
    // Whether there is such a generation, before anything is said of it.
    switchTo(plan, generation)
    if (generation === plan.live) return note(`generation ${generation} of ${projection} is read already`)
    if (!flags.force) await checkLevel(operation, projection, generation)
    if (flags.compare) await compareAndTell(operation, projection, [plan.live, generation])
    else if (generation > plan.live)
      note(`generation ${generation} was not compared with ${plan.live}: --compare does so first`)
    await changePlan(operation, projection, current => switchTo(current, generation))
    note(
      `queries read generation ${generation} of ${projection}; generation ${plan.live} is kept up to date: "confab projections switch ${projection} ${plan.live}" goes back, "confab projections drop ${projection} ${plan.live}" forgets it`,
    )
  })

export const switchCommand = (): Command =>
  projectionArgument(
    new Command('switch').description(
      'have queries read another generation of a view: a new one, or an older one again',
    ),
  )
    .addArgument(
      new Argument('[generation]', 'default: the one that is being built').argParser(generationNumber),
    )
    .option('--compare', 'compare it with the one that is read first, and stop where they differ')
    .option('--force', 'though it is behind the log')
    .action(switchView)
