import { Command, Option } from 'commander'
import type { EventLog } from '../commands/index.ts'
import {
  ConfabError,
  isForeign,
  isKnownType,
  knownTypes,
  type StoredEvent,
  wireBytes,
} from '../events/index.ts'
import { discoverLog, JetStreamEventLog, NatsEventSource } from '../infra/nats/index.ts'
import type { EventSource, StreamBounds } from '../projections/index.ts'
import { CliError } from './command/cli-error.ts'
import { reads } from './command/command-effect.ts'
import {
  addSystemOptions,
  configOf,
  openExisting,
  requireId,
  type SystemFlags,
} from './command/config-flags.ts'
import { collectValues, timeValue } from './command/flag-values.ts'
import { readUntil } from './command/read-until.ts'
import { interruption } from './command/run-command.ts'
import { HoleFinder } from './log-holes.ts'
import { print } from './terminal/output.ts'

interface ReplayFlags extends SystemFlags {
  readonly conversation?: string
  readonly users?: boolean
  readonly type?: string[]
  readonly since?: Date
  readonly until?: Date
}

/**
 * Selects events. Times are the `at` of events, in ms; imported events have an `at` older than their position in the
 * log.
 */
export interface ReplayFilter {
  /** Include events of users: markers, mutes, blocks, profiles, ids of direct conversations. */
  readonly users?: boolean
  readonly types?: ReadonlySet<string>
  readonly since?: number
  readonly until?: number
}

/** Difference of clocks: the `at` of an event may be this much later than the time the log stored it, ms. */
const clockSkewMs = 3_600_000

const decoder = new TextDecoder()

const isSelected = (event: StoredEvent, filter: ReplayFilter): boolean => {
  if (isForeign(event) || (event.aggregate.family === 'user' && !filter.users)) return false
  if (filter.types !== undefined && !filter.types.has(event.envelope.type)) return false
  if (filter.since === undefined && filter.until === undefined) return true
  const { at } = JSON.parse(decoder.decode(event.data)) as { at: string }
  const time = Date.parse(at)
  return time >= (filter.since ?? -Infinity) && time < (filter.until ?? Infinity)
}

/**
 * Returns events as NDJSON: the bytes of the log with `stream` and `streamSeq` appended. Parses only what a filter
 * needs.
 */
export const eventLines = (events: readonly StoredEvent[], filter: ReplayFilter): Buffer => {
  const parts: Uint8Array[] = []
  for (const event of events) {
    if (!isSelected(event, filter)) continue
    const body = wireBytes(event)
    parts.push(
      body.subarray(0, -1),
      Buffer.from(`,"stream":"${event.stream}","streamSeq":${event.streamSeq}}\n`, 'latin1'),
    )
  }
  return Buffer.concat(parts)
}

/** Streams with the part of each that a replay reads. */
interface ReplayedStream extends StreamBounds {
  readonly start: number
}

const replayedStreams = async (
  source: EventSource,
  since: number | undefined,
): Promise<readonly ReplayedStream[]> => {
  const streams: ReplayedStream[] = []
  for (const bounds of await source.streams()) {
    const { stream, first } = bounds
    const start = since === undefined ? first : await source.firstSince(stream, new Date(since - clockSkewMs))
    streams.push({ ...bounds, start })
  }
  return streams
}

/**
 * Yields the events of one conversation, or of all streams one after the other up to their ends at the start of the
 * call. Passes each event to `holes`.
 */
export async function* replayBatches(
  source: EventSource,
  log: Pick<EventLog, 'read'>,
  from: { conversation?: string | undefined; since?: number | undefined },
  holes: HoleFinder = new HoleFinder(),
): AsyncIterable<readonly StoredEvent[]> {
  if (from.conversation !== undefined) {
    for await (const batch of log.read({ family: 'conv', id: from.conversation }, 0)) {
      for (const event of batch) holes.take(event, 1)
      yield batch
    }
    return
  }
  const isWhole = from.since === undefined
  for (const { stream, start, last, missing } of await replayedStreams(source, from.since)) {
    if (last > 0 && start <= last)
      for await (const batch of source.range(stream, start - 1, last)) {
        for (const event of batch) holes.take(event, isWhole ? 1 : undefined)
        yield batch
      }
    if (isWhole && missing > 0) holes.lacks(stream, missing)
  }
}

/** Throws CliError for a type that no event of this version has: it would look like a filter without matches. */
const requireTypes = (types: readonly string[]): void => {
  const unknown = types.find(type => !isKnownType(type))
  if (unknown !== undefined)
    throw new CliError(
      'BAD_OPTION',
      `--type: "${unknown}" is not a type of event: use one of ${knownTypes().join(', ')}`,
    )
}

const filterOf = ({ users = false, type, since, until }: ReplayFlags): ReplayFilter => ({
  users,
  ...(type === undefined ? {} : { types: new Set(type) }),
  ...(since === undefined ? {} : { since: since.getTime() }),
  ...(until === undefined ? {} : { until: until.getTime() }),
})

const replay = async (flags: ReplayFlags): Promise<void> => {
  if (flags.conversation !== undefined) requireId(flags.conversation)
  requireTypes(flags.type ?? [])
  const { signal, release } = interruption()
  const system = await openExisting(configOf(flags), 'confab-replay')
  try {
    const layout = await discoverLog(system.nats.connection)
    const source = new NatsEventSource(system.nats, layout)
    const log = new JetStreamEventLog(system.nats, layout)
    try {
      const filter = filterOf(flags)
      const from = { conversation: flags.conversation, since: filter.since }
      const holes = new HoleFinder()
      let isEmpty = true
      for await (const batch of readUntil(replayBatches(source, log, from, holes), signal, system.nats)) {
        isEmpty &&= batch.length === 0
        await print(eventLines(batch, filter))
      }
      if (signal.aborted) throw new CliError('INTERRUPTED', 'stopped before the end of the log')
      // A mistyped id must not look like a filter without matches.
      if (flags.conversation !== undefined && isEmpty)
        throw new CliError(
          'NO_SUCH_CONVERSATION',
          `the log has no conversation ${flags.conversation}: check the id`,
        )
      const found = holes.found()
      if (found !== undefined) throw new ConfabError('LOG_DAMAGED', `${found}: see "confab doctor --all"`)
    } finally {
      source.close()
      log.close()
    }
  } finally {
    await system.close()
    release()
  }
}

export const replayCommand = (): Command =>
  reads(
    addSystemOptions(
      new Command('replay').description(
        'Print the log, one event a line, as clients receive it, with stream and streamSeq',
      ),
    )
      .option('--conversation <id>', 'Only this conversation')
      .option(
        '--users',
        'Include events of users: markers, mutes, blocks, profiles, ids of direct conversations (with u and a seq per user)',
      )
      .option('--type <type>', 'Only this type, such as message.posted; repeatable', collectValues)
      .option('--since <time>', 'Only events with this time (at) or later', timeValue)
      .option('--until <time>', 'Only events with an earlier time (at)', timeValue)
      .addOption(new Option('--format <format>', 'Output format').choices(['ndjson']).default('ndjson'))
      .action(replay),
  )
