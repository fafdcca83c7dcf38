import { Command } from 'commander'
import { Family } from '../../events/index.ts'
import { edgeRightsFile, loadStreams, rightsFile } from '../../infra/nats/index.ts'
import { reads, records } from '../command/command-effect.ts'
import { addConfigFlags } from '../command/config-flags.ts'
import { print } from '../terminal/output.ts'
import { apply, plan } from './apply.ts'
import { familyName, reshard, streamCount } from './reshard.ts'
import { status } from './status.ts'

interface RightsFlags {
  readonly streams?: number
  readonly family: Family
  readonly edgeSite?: boolean
}

const rights = ({ streams, family, edgeSite }: RightsFlags): Promise<void> => {
  const definitions = loadStreams(streams === undefined ? {} : { [family]: streams })
  return print(edgeSite ? edgeRightsFile(definitions) : rightsFile(definitions))
}

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
  records(
    'streams.reshard',
    addConfigFlags(
      command
        .command('reshard')
        .description('Add streams to the log of a running system, and move partitions to them'),
      ['data', 'natsServers'],
    )
      .option('--streams <n>', 'Number of streams that the family gets', streamCount)
      .option('--family <family>', 'Family of streams: conv or user', familyName, Family.conversation)
      .option('--yes', 'Do not ask')
      .option('--dry-run', 'Show the plan only')
      .option('--resume', 'Finish an earlier run')
      .option('--json', 'Output JSON'),
    reshard,
  )
  reads(
    command
      .command('rights')
      .description('Print the rights of the NATS users for these streams, as nats/users.conf includes them')
      .option('--streams <n>', 'Number of streams of the family (default: as defined)', streamCount)
      .option('--family <family>', 'Family of streams: conv or user', familyName, Family.conversation)
      .option('--edge-site', 'Print the rights of edge nodes alone, as nats/tls/edge-site.conf includes them')
      .action(rights),
  )
  return command
}
