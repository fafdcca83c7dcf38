import { Command } from 'commander'
import { changesOf } from '../app/open-audit.ts'
import { openNats } from '../app/open-nats.ts'
import { applyStreams, loadStreams, type StreamStatus, streamsStatus } from '../infra/nats/index.ts'
import { CliError } from './command/cli-error.ts'
import { type CommandRecorder, reads, records } from './command/command-effect.ts'
import {
  addConfigFlags,
  addSystemOptions,
  configOf,
  openExisting,
  type SystemFlags,
} from './command/config-flags.ts'
import { bytes, count, note, print, span, styled, table } from './terminal/output.ts'

/** Current copies of a stream, of all: `2/3`. */
export const copiesText = ({ replicas, isLed, copies }: StreamStatus): string => {
  if (replicas === 0) return '–'
  const current = copies.length === 0 ? Number(isLed) : copies.filter(one => one.state === 'current').length
  return `${current}/${replicas}`
}

/** Says why copies of a stream are not current. Undefined: all are. */
export const copiesAway = ({ drift, isLed, copies }: StreamStatus): string | undefined => {
  if (drift.includes('missing')) return undefined
  const reasons = copies
    .filter(({ state }) => state !== 'current')
    .map(({ server, state, silentMs, lag }) =>
      state === 'away' ? `${server} away for ${span(silentMs)}` : `${server} ${count(lag)} behind`,
    )
  if (!isLed) reasons.unshift('no leader')
  return reasons.length === 0 ? undefined : reasons.join(', ')
}

/** Says what to do about missing copies. Undefined: nothing; copies that lag catch up by themselves. */
export const copiesAdvice = ({ drift, isLed, copies }: StreamStatus): string | undefined => {
  if (drift.includes('missing')) return undefined
  const away = copies.filter(({ state }) => state === 'away').map(({ server }) => server)
  const servers = away.length === 0 ? 'the NATS servers that are down' : `NATS server ${away.join(', ')}`
  if (!isLed) return `start ${servers}: a stream stores nothing without the majority of its copies`
  return away.length === 0 ? undefined : `start ${servers}, or read its log; the other copies keep working`
}

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
            { title: 'missing', align: 'right' },
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
            stream.missing === 0 ? '0' : styled('red', count(stream.missing)),
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
      throw new CliError('NOT_READY', 'streams differ from their definition: run "confab streams apply"')
    const damaged = streams.filter(({ missing }) => missing > 0).map(({ stream }) => stream)
    if (damaged.length > 0)
      throw new CliError(
        'NOT_READY',
        `${damaged.join(', ')} has lost messages: run "confab doctor --all", which names the conversations, and "confab audit verify", which names audit records`,
      )
    const advice = streams.map(copiesAdvice).find(one => one !== undefined)
    if (advice !== undefined) throw new CliError('NOT_READY', advice)
  } finally {
    await system.close()
  }
}

const apply = async (recorder: CommandRecorder, flags: SystemFlags): Promise<void> => {
  const config = configOf(flags)
  const system = await openNats(config, 'confab-streams', note)
  try {
    const applied = await recorder.perform({ config, nats: system.nats }, {}, async report => {
      const done = await applyStreams(system.nats.connection, loadStreams({ replicas: config.natsReplicas }))
      report(changesOf(done) ?? { changed: 'nothing' })
      return done
    })
    await print(
      table(
        [{ title: 'stream' }, { title: 'outcome' }, { title: 'changed' }],
        applied.map(({ stream, outcome, changed }) => [stream, outcome, changed.join(', ')]),
      ),
    )
    const kept = applied.flatMap(({ stream, kept }) => kept.map(setting => `${setting} of ${stream}`))
    if (kept.length > 0)
      throw new CliError(
        'NOT_READY',
        `JetStream does not change ${kept.join(', ')}: a new stream is needed to remove the difference`,
      )
  } finally {
    await system.close()
  }
}

export const streamsCommand = (): Command => {
  const command = new Command('streams').description('Manage the streams that hold the log')
  reads(
    addSystemOptions(command.command('status').description('Show stream status'))
      .option('--json', 'Output JSON')
      .action(status),
  )
  records(
    'streams.apply',
    addConfigFlags(
      command
        .command('apply')
        .description('Create or update streams as streams/*.yaml define them; deletes nothing'),
      ['data', 'natsServers', 'natsReplicas'],
    ),
    apply,
  )
  return command
}
