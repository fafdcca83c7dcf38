import { openRegions } from '../../app/open-regions.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { type StreamDefinition, type StreamStatus, streamsStatus } from '../../infra/nats/index.ts'
import {
  definitionsIn,
  isOneRegion,
  type MirrorStatus,
  newestPromises,
  readPromises,
  regionsStatus,
  type StreamInRegions,
  type StreamRole,
  type Topology,
  withPromises,
} from '../../infra/nats/regions/index.ts'
import { CliError } from '../command/cli-error.ts'
import { configOf, type SystemFlags } from '../command/config-flags.ts'
import { openOwnRegion, readTopology, type SystemTopology } from '../command/regions.ts'
import { forecastText, rateText } from '../terminal/figures.ts'
import { bytes, count, note, print, span, styled, table } from '../terminal/output.ts'

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

/** A stream with its copies in other regions. */
interface PlacedStatus extends StreamStatus {
  readonly role: StreamRole
  readonly home: string
  readonly epoch: number
  readonly mirrors: readonly MirrorStatus[]
}

const mirrorsText = ({ mirrors }: PlacedStatus): string =>
  mirrors.length === 0
    ? '–'
    : mirrors
        .map(({ region, behind, stalled }) =>
          stalled
            ? styled('red', `${region} stalled`)
            : `${region} ${behind === undefined ? 'unknown' : `${count(behind)} behind`}`,
        )
        .join(', ')

const streamsTable = (streams: readonly PlacedStatus[], hasRegions: boolean): string =>
  table(
    [
      { title: 'stream' },
      ...(hasRegions ? [{ title: 'role' }, { title: 'home' }, { title: 'mirrors' }] : []),
      { title: 'messages', align: 'right' },
      { title: 'size', align: 'right' },
      { title: 'subjects', align: 'right' },
      { title: 'last', align: 'right' },
      { title: 'msgs/s', align: 'right' },
      { title: 'missing', align: 'right' },
      { title: 'replicas', align: 'right' },
      { title: 'leader' },
      { title: 'not current' },
      { title: 'full in' },
      { title: 'as defined' },
    ],
    streams.map(stream => [
      stream.stream,
      ...(hasRegions ? [stream.role, stream.home, mirrorsText(stream)] : []),
      count(stream.messages),
      bytes(stream.bytes),
      count(stream.subjects),
      count(stream.last),
      rateText(stream.rate),
      stream.missing === 0 ? '0' : styled('red', count(stream.missing)),
      copiesText(stream),
      stream.leader ?? '–',
      copiesAway(stream) ?? '–',
      forecastText(stream.forecast, ` (${stream.forecast?.limit})`),
      stream.drift.length === 0
        ? stream.replicas === 0
          ? '–'
          : styled('green', 'yes')
        : styled('red', `no: ${stream.drift.join(', ')}`),
    ]),
  )

/** Returns the status of the streams of the region that the configured servers are in. */
const statusInRegion = async (
  config: ConfabConfig,
  { topology, definitions }: SystemTopology,
): Promise<readonly PlacedStatus[]> => {
  const own = await openOwnRegion(config, topology, 'confab-streams')
  try {
    const { name } = own.region
    const promises = newestPromises(await readPromises([own]))
    const current = withPromises(topology, definitions, promises)
    const streams = await streamsStatus(own.nats, definitionsIn(current, definitions, own.region))
    const placed = isOneRegion(topology) ? [] : await placedStreams(config, topology, definitions)
    return streams.map(stream => {
      const { home = name, epoch = 1, mirrors = [] } = placed.find(one => one.stream === stream.stream) ?? {}
      return { ...stream, role: home === name ? 'home' : 'mirror', home, epoch, mirrors }
    })
  } finally {
    await own.close()
  }
}

/** Returns the streams of the log in all regions that answer. */
const placedStreams = async (
  config: ConfabConfig,
  topology: Topology,
  definitions: readonly StreamDefinition[],
): Promise<readonly StreamInRegions[]> => {
  const regions = await openRegions(topology, config, 'confab-streams', note)
  try {
    return (await regionsStatus(topology, regions.open, definitions)).streams
  } finally {
    await regions.close()
  }
}

/** `confab streams status`. Throws CliError when a stream needs an operator. */
export const status = async (flags: SystemFlags & { json?: boolean }): Promise<void> => {
  const config = configOf(flags)
  const system = readTopology(config)
  const streams = await statusInRegion(config, system)
  if (flags.json) await print(`${JSON.stringify(streams, undefined, 2)}\n`)
  else await print(streamsTable(streams, !isOneRegion(system.topology)))
  if (streams.some(stream => stream.drift.length > 0))
    throw new CliError(
      'NOT_READY',
      'streams differ from their definition: run "confab streams plan", then "confab streams apply"',
    )
  const damaged = streams.filter(({ missing }) => missing > 0).map(({ stream }) => stream)
  if (damaged.length > 0)
    throw new CliError(
      'NOT_READY',
      `${damaged.join(', ')} has lost messages: run "confab doctor --all", which names the conversations, and "confab audit verify", which names audit records`,
    )
  const advice = streams.map(copiesAdvice).find(one => one !== undefined)
  if (advice !== undefined) throw new CliError('NOT_READY', advice)
}
