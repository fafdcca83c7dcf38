import { Command } from 'commander'
import { compareCommand } from './compare.ts'
import { deadLettersCommand, discardCommand, retryCommand } from './dead-letters.ts'
import { listCommand } from './list.ts'
import { dropCommand, pauseCommand, resumeCommand } from './pause.ts'
import { rebuildCommand } from './rebuild.ts'
import { switchCommand } from './switch.ts'

export { allViews } from './list.ts'
export type { GenerationRow } from './overview.ts'

export const projectionsCommand = (): Command =>
  new Command('projections')
    .description('what builds the views from the log: look, pause, rebuild, switch, mend')
    .addCommand(listCommand())
    .addCommand(pauseCommand())
    .addCommand(resumeCommand())
    .addCommand(rebuildCommand())
    .addCommand(compareCommand())
    .addCommand(switchCommand())
    .addCommand(dropCommand())
    .addCommand(deadLettersCommand())
    .addCommand(retryCommand())
    .addCommand(discardCommand())
