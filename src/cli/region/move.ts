import { jetstreamManager } from '@nats-io/jetstream'
import { Family, subjectOf } from '../../events/index.ts'
import { discoverLog } from '../../infra/nats/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { requireIdOf } from '../command/config-flags.ts'
import { type ChangeFlags, changeHome, withRegions } from './change.ts'

interface MoveFlags extends ChangeFlags {
  readonly stream?: string
}

/** Returns the stream of a conversation that is alone in it. Throws CliError, NatsError. */
const streamOf = async (flags: MoveFlags, id: string): Promise<string> => {
  requireIdOf('conversation', 'conversation', id)
  const aggregate = { family: Family.conversation, id }
  let found = ''
  await withRegions(flags, 'move', async ({ regions }) => {
    const place = regions.open.find(({ region }) => !region.isWitness)
    if (place === undefined) throw new CliError('NO_SERVER', 'no region with streams can be reached')
    const { connection } = place.nats
    const stream = (await discoverLog(connection)).streamOf(aggregate)
    const manager = await jetstreamManager(connection, { checkAPI: false })
    const own = await manager.streams.info(stream, { subjects_filter: subjectOf(aggregate) })
    if (own.state.subjects === undefined)
      throw new CliError('NO_SUCH_CONVERSATION', `${stream} in ${place.region.name} has no events of ${id}`)
    if ((own.state.num_subjects ?? 0) > 1)
      throw new CliError(
        'STREAM_SHARED',
        `${stream} holds other conversations besides ${id}: move all of them with --stream ${stream}`,
      )
    found = stream
  })
  return found
}

/** `confab region move`: makes a region the home of one stream. Throws CliError, NatsError. */
export const move = async (
  recorder: CommandRecorder,
  conversation: string | undefined,
  flags: MoveFlags,
): Promise<void> => {
  recorder.nothingChanged()
  if (!flags.resume && (conversation === undefined) === (flags.stream === undefined))
    throw new CliError('BAD_OPTION', 'give a conversation, or --stream <name>')
  const stream = conversation === undefined ? flags.stream : await streamOf(flags, conversation)
  await changeHome('switch-over', recorder, stream === undefined ? [] : [stream], flags)
}
