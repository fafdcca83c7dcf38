import { Command } from 'commander'
import { reads, records } from '../command/command-effect.ts'
import { addConfigFlags } from '../command/config-flags.ts'
import { countUpTo } from '../command/flag-values.ts'
import { type ChangeFlags, changeHome } from './change.ts'
import { doctor } from './doctor.ts'
import { discardLost, listLost, resubmitLost } from './lost.ts'
import { move } from './move.ts'
import { rejoin } from './rejoin.ts'
import { status } from './status.ts'

/** Messages that `--hash` compares, at most. */
const mostHashed = 10_000

const addConsentFlags = (command: Command): Command =>
  addConfigFlags(command, ['data', 'natsServers', 'topology'])
    .option('--yes', 'Do not ask')
    .option('--dry-run', 'Show the plan only')
    .option('--resume', 'Finish an earlier run')
    .option('--json', 'Output JSON')

const addChangeFlags = (command: Command): Command =>
  addConsentFlags(command.option('--to <region>', 'The region that becomes the home'))

const addLostFlags = (command: Command): Command =>
  addConfigFlags(command, ['data', 'natsServers', 'topology'])
    .option('--stream <name>', 'Events of one stream')
    .option('--epoch <n>', 'Events that this epoch lacks', countUpTo(Number.MAX_SAFE_INTEGER))
    .option('--json', 'Output JSON')

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
  records(
    'region.failover',
    addChangeFlags(
      command
        .command('failover')
        .description('Make a region the home of streams whose home is lost; lists what may be lost')
        .argument('[stream...]', 'Streams of the log'),
    )
      .option('--all', 'All streams that have their home in another region')
      .option(
        '--fenced <region>',
        'A region that you vouch is off: it is not asked, and does not count until it rejoins (repeatable)',
        (region: string, before: readonly string[] = []) => [...before, region],
      ),
    (recorder, streams: string[], flags: ChangeFlags) => changeHome('failover', recorder, streams, flags),
  )
  records(
    'region.switchover',
    addChangeFlags(
      command
        .command('switch-over')
        .description('Make a region the home of streams while their home works; nothing is lost')
        .argument('[stream...]', 'Streams of the log'),
    ).option('--all', 'All streams that have their home in another region'),
    (recorder, streams: string[], flags: ChangeFlags) => changeHome('switch-over', recorder, streams, flags),
  )
  records(
    'region.move',
    addChangeFlags(
      command
        .command('move')
        .description('Make a region the home of one stream, as "switch-over" does')
        .argument('[conversation]', 'A conversation that is alone in its stream'),
    ).option('--stream <name>', 'A stream of the log'),
    move,
  )
  records(
    'region.rejoin',
    addConsentFlags(
      command
        .command('rejoin')
        .description('Bring a region back whose streams have new homes; saves the events that these lack')
        .argument('<region>', 'The region'),
    ),
    rejoin,
  )
  const lost = command.command('lost').description('Manage the events that a failover lost')
  reads(addLostFlags(lost.command('ls').description('List them')).action(listLost))
  records(
    'lost.resubmit',
    addLostFlags(lost.command('resubmit').description('Send their commands again, with their old ids'))
      .option('--yes', 'Do not ask')
      .option('--dry-run', 'Show them only'),
    resubmitLost,
  )
  records(
    'lost.discard',
    addLostFlags(lost.command('discard').description('Remove them from the list'))
      .option('--yes', 'Do not ask')
      .option('--dry-run', 'Show them only'),
    discardLost,
  )
  records(
    'region.cure',
    addConfigFlags(
      command
        .command('doctor')
        .description('Check the regions, their links and their streams, and say what to do'),
      ['data', 'natsServers', 'topology'],
    )
      .option('--fix', 'Cure what can be cured without loss')
      .option('--yes', 'Do not ask, and copy again mirrors that lack messages')
      .option('--dry-run', 'Show the cures only')
      .option('--json', 'Output JSON'),
    doctor,
  )
  return command
}
