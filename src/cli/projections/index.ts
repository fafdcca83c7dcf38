import { Command } from 'commander'
import { compareCommand } from './compare.ts'
import { deadLettersCommand, discardCommand, retryCommand } from './dead-letters.ts'
import { listCommand } from './list.ts'
import { pauseCommand, resumeCommand } from './pause.ts'
import { rebuildCommand } from './rebuild.ts'
import { dropCommand, switchCommand } from './switch.ts'

export { allViews } from './list.ts'
export type { GenerationRow } from './overview.ts'

export const projectionsCommand = (): Command =>
  new Command('projections')
    .description('Manage projections, which build the views from the log')
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
