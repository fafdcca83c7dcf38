import { Command } from 'commander'
import { openNats } from '../../app/open-nats.ts'
import { applyStreams, loadStreams, streamsStatus } from '../../infra/nats/index.ts'
import { CliError } from '../command/cli-error.ts'
import {
  addConfigFlags,
  addSystemOptions,
  configOf,
  openExisting,
  type SystemFlags,
} from '../command/system-options.ts'
import { bytes, count, note, print, styled, table } from '../terminal/output.ts'
import { copiesAdvice, copiesAway, copiesText } from './stream-copies.ts'

const status = async (flags: SystemFlags & { json?: boolean }): Promise<void> => {
  const config = configOf(flags)
  const system = await openExisting(config, 'confab-streams')
  try {
    const streams = await streamsStatus(
      system.nats.connection,
      loadStreams({ replicas: config.natsReplicas }),
    )
    if (flags.json) await print(`${JSON.stringify(streams, undefined, 2)}\n`)
    else
      await print(
        table(
          [
            { title: 'stream' },
            { title: 'messages', align: 'right' },
            { title: 'size', align: 'right' },
            { title: 'subjects', align: 'right' },
            { title: 'last', align: 'right' },
            { title: 'consumers', align: 'right' },
            { title: 'replicas', align: 'right' },
            { title: 'not current' },
            { title: 'as defined' },
          ],
          streams.map(stream => [
            stream.stream,
            count(stream.messages),
            bytes(stream.bytes),
            count(stream.subjects),
            count(stream.last),
            stream.consumers,
            copiesText(stream),
            copiesAway(stream) ?? '–',
            stream.drift.length === 0
              ? stream.replicas === 0
                ? '–'
                : styled('green', 'yes')
              : styled('red', `no: ${stream.drift.join(', ')}`),
          ]),
        ),
      )
    if (streams.some(stream => stream.drift.length > 0))
      throw new CliError('NOT_READY', 'the streams are not as defined: run "confab streams apply"')
    const advice = streams.map(copiesAdvice).find(one => one !== undefined)
    if (advice !== undefined) throw new CliError('NOT_READY', advice)
  } finally {
    await system.close()
  }
}

const apply = async (flags: SystemFlags): Promise<void> => {
  const config = configOf(flags)
  const system = await openNats(config, 'confab-streams', note)
  try {
    const applied = await applyStreams(system.nats.connection, loadStreams({ replicas: config.natsReplicas }))
    await print(
      table(
        [{ title: 'stream' }, { title: 'outcome' }, { title: 'changed' }],
        applied.map(({ stream, outcome, changed }) => [stream, outcome, changed.join(', ')]),
      ),
    )
  } finally {
    await system.close()
  }
}

export const streamsCommand = (): Command => {
  const command = new Command('streams').description('the streams that hold the log')
  addSystemOptions(command.command('status').description('how they are'))
    .option('--json', 'as JSON')
    .action(status)
  addConfigFlags(
    command
      .command('apply')
      .description('Create or update streams as streams/*.yaml define them; deletes nothing'),
    ['data', 'natsServers', 'natsReplicas'],
  ).action(apply)
  return command
}
