import { Command } from 'commander'
import { loadStreams, rightsFile } from '../../infra/nats/index.ts'
import { reads, records } from '../command/command-effect.ts'
import { addConfigFlags } from '../command/config-flags.ts'
import { print } from '../terminal/output.ts'
import { apply, plan } from './apply.ts'
import { status } from './status.ts'

const rights = (): Promise<void> => print(rightsFile(loadStreams()))

export const streamsCommand = (): Command => {
  const command = new Command('streams').description('Manage the streams that hold the log')
  reads(
    addConfigFlags(command.command('status').description('Show stream status'), [
      'data',
      'natsServers',
      'topology',
    ])
      .option('--json', 'Output JSON')
      .action(status),
  )
  reads(
    addConfigFlags(
      command.command('plan').description('Show what "streams apply" would change, without changing it'),
      ['data', 'natsServers', 'natsReplicas', 'topology'],
    )
      .option('--json', 'Output JSON')
      .action(plan),
  )
  records(
    'streams.apply',
    addConfigFlags(
      command
        .command('apply')
        .description(
          'Create or update streams as streams/*.yaml define them, and the key-value buckets; deletes no streams',
        ),
      ['data', 'natsServers', 'natsReplicas', 'topology'],
    )
      .option('--allow-loss <stream...>', 'Streams that may lose stored messages by the update')
      .option('--json', 'Output JSON'),
    apply,
  )
  reads(
    command
      .command('rights')
      .description('Print the rights of the NATS users for these streams, as nats/users.conf includes them')
      .action(rights),
  )
  return command
}
