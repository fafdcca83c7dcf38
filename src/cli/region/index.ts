import { Command } from 'commander'
import { reads } from '../command/command-effect.ts'
import { addConfigFlags } from '../command/config-flags.ts'
import { countUpTo } from '../command/flag-values.ts'
import { status } from './status.ts'

/** Messages that `--hash` compares, at most. */
const mostHashed = 10_000

export const regionCommand = (): Command => {
  const command = new Command('region').description('Manage the regions of a system')
  reads(
    addConfigFlags(
      command
        .command('status')
        .description('Show the regions, the home of each stream, and how far its mirrors are'),
      ['data', 'natsServers', 'topology'],
    )
      .option(
        '--hash <k>',
        'Compare the last k messages that a home and its mirrors have (1 to 10000)',
        countUpTo(mostHashed),
      )
      .option('--json', 'Output JSON')
      .action(status),
  )
  return command
}
