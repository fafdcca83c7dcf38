import { Command, InvalidArgumentError, Option } from 'commander'
import type { EventLog } from '../commands/index.ts'
import { type StoredEvent, wireBytes } from '../events/index.ts'
import { discoverLog, JetStreamEventLog, NatsEventSource } from '../infra/nats/index.ts'
import type { EventSource } from '../projections/index.ts'
import { CliError } from './command/cli-error.ts'
import { readUntil } from './command/read-until.ts'
import { interruption } from './command/run-command.ts'
import {
  addSystemOptions,
  configOf,
  openExisting,
  requireId,
  type SystemFlags,
} from './command/system-options.ts'
import { print } from './terminal/output.ts'

interface ReplayFlags extends SystemFlags {
  readonly conversation?: string
  readonly users?: boolean
  readonly type?: string[]
  readonly since?: number
  readonly until?: number
}

/** Which events are wanted. Times are those that events carry, in ms; an import's are older than its place in the log. */
export interface ReplayFilter {
  /** Also what users did for themselves: marks, mutes, blocks. */
  readonly users?: boolean
  readonly types?: ReadonlySet<string>
  readonly since?: number
  readonly until?: number
}

/** Clocks differ: an event may carry a time that is this much after the one at which it was stored, ms. */
const clockSkew = 3_600_000

const decoder = new TextDecoder()

const isWanted = (event: StoredEvent, filter: ReplayFilter): boolean => {
  // What somebody else put into the stream has no type.
  if (event.envelope.type === '' || (event.aggregate.family === 'user' && !filter.users)) return false
  if (filter.types !== undefined && !filter.types.has(event.envelope.type)) return false
  if (filter.since === undefined && filter.until === undefined) return true
  const { at } = JSON.parse(decoder.decode(event.data)) as { at: string }
  const time = Date.parse(at)
  return time >= (filter.since ?? -Infinity) && time < (filter.until ?? Infinity)
}

/** Events as NDJSON: the bytes of the log, with `stream` and `streamSeq` put in at the end; nothing is parsed that no filter asks for. */
export const eventLines = (events: readonly StoredEvent[], filter: ReplayFilter): Buffer => {
  const parts: Uint8Array[] = []
  for (const event of events) {
    if (!isWanted(event, filter)) continue
    const body = wireBytes(event)
    parts.push(
      body.subarray(0, -1),
      Buffer.from(`,"stream":"${event.stream}","streamSeq":${event.streamSeq}}\n`, 'latin1'),
    )
  }
  return Buffer.concat(parts)
}

/** The batches of a replay: of one conversation, or of all streams one after the other up to where they ended at the start. */
export async function* replayBatches(
  source: EventSource,
  log: Pick<EventLog, 'read'>,
  from: { conversation?: string | undefined; since?: number | undefined },
): AsyncIterable<readonly StoredEvent[]> {
  if (from.conversation !== undefined) {
    yield* log.read({ family: 'conv', id: from.conversation }, 0)
    return
  }
  for (const { stream, first, last } of await source.streams()) {
    const start =
      from.since === undefined ? first : await source.firstSince(stream, new Date(from.since - clockSkew))
    if (last > 0 && start <= last) yield* source.range(stream, start - 1, last)
  }
}

const filterOf = ({ users = false, type, since, until }: ReplayFlags): ReplayFilter => ({
  users,
  ...(type === undefined ? {} : { types: new Set(type) }),
  ...(since === undefined ? {} : { since }),
  ...(until === undefined ? {} : { until }),
})

const replay = async (flags: ReplayFlags): Promise<void> => {
  if (flags.conversation !== undefined) requireId(flags.conversation)
  const { signal, release } = interruption()
  const system = await openExisting(configOf(flags), 'confab-replay')
  try {
    const layout = await discoverLog(system.nats.connection)
    const source = new NatsEventSource(system.nats, layout)
    const log = new JetStreamEventLog(system.nats, layout)
    try {
      const filter = filterOf(flags)
      let isEmpty = true
      for await (const batch of readUntil(replayBatches(source, log, flags), signal, system.nats)) {
        isEmpty &&= batch.length === 0
        await print(eventLines(batch, filter))
      }
      if (signal.aborted) throw new CliError('INTERRUPTED', 'the replay is not complete')
      // Else a mistyped id would look like a filter that nothing has passed.
      if (flags.conversation !== undefined && isEmpty)
        throw new CliError('NO_SUCH_CONVERSATION', `the log has no conversation ${flags.conversation}`)
    } finally {
      source.close()
      log.close()
    }
  } finally {
    await system.close()
    release()
  }
}

const time = (value: string): number => {
  const ms = Date.parse(value)
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('a time such as 2026-11-24 or 2026-11-24T02:30:00Z is wanted')
  return ms
}

const collect = (value: string, before: string[] | undefined): string[] => [
  ...(before ?? []),
  ...value.split(','),
]

export const replayCommand = (): Command =>
  addSystemOptions(
    new Command('replay').description(
      'print the log, one event a line: what clients get, with stream and streamSeq',
    ),
  )
    .option('--conversation <id>', 'only of this one')
    .option('--users', "also users' own events: marks, mutes, blocks; they carry `u` and count per user")
    .option('--type <type>', 'only of this type, such as message.posted; may be repeated', collect)
    .option('--since <time>', 'only with an `at` of then or later', time)
    .option('--until <time>', 'only with an `at` before then', time)
    .addOption(new Option('--format <format>', 'how').choices(['ndjson']).default('ndjson'))
    .action(replay)
