import { type OpenRegions, openRegions } from '../../app/open-regions.ts'
import {
  isOneRegion,
  type MirrorStatus,
  type RegionsStatus,
  regionsStatus,
  type StreamInRegions,
} from '../../infra/nats/regions/index.ts'
import { CliError } from '../command/cli-error.ts'
import { configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { readTopology } from '../command/regions.ts'
import { count, note, print, span, styled, table } from '../terminal/output.ts'

interface StatusFlags extends SystemFlags {
  readonly json?: boolean
  readonly hash?: number
  readonly topology?: string
}

const stateText = ({ last, stalled, behind, hashEqual }: MirrorStatus): string => {
  if (last === undefined || behind === undefined) return styled('red', 'unknown')
  if (hashEqual === false) return styled('red', 'different')
  if (stalled) return styled('red', 'stalled')
  return behind === 0 ? styled('green', 'level') : 'moving'
}

const orDash = <T>(value: T | undefined, text: (value: T) => string): string =>
  value === undefined ? '–' : text(value)

const regionsTable = ({ regions }: RegionsStatus): string =>
  table(
    [{ title: 'region' }, { title: 'reachable' }, { title: 'epoch', align: 'right' }],
    regions.map(({ region, reachable, epochSeen }) => [
      region,
      reachable ? styled('green', 'yes') : styled('red', 'no'),
      orDash(epochSeen, String),
    ]),
  )

const rowsOf = ({ stream, home, epoch, ack, homeLast, mirrors }: StreamInRegions): string[][] => [
  [stream, 'home', home, String(epoch), ack, orDash(homeLast, count), '–', '–', '–'],
  ...mirrors.map(mirror => [
    stream,
    'mirror',
    mirror.region,
    '',
    '',
    orDash(mirror.last, count),
    orDash(mirror.behind, count),
    orDash(mirror.seconds, seconds => span(seconds * 1_000)),
    stateText(mirror),
  ]),
]

const streamsTable = ({ streams }: RegionsStatus): string =>
  table(
    [
      { title: 'stream' },
      { title: 'role' },
      { title: 'region' },
      { title: 'epoch', align: 'right' },
      { title: 'ack' },
      { title: 'last', align: 'right' },
      { title: 'behind', align: 'right' },
      { title: 'recovery point', align: 'right' },
      { title: 'state' },
    ],
    streams.flatMap(rowsOf),
  )

/** `confab region status`. Throws CliError when a region, a mirror or a home needs an operator. */
export const status = async (flags: StatusFlags): Promise<void> => {
  const { hash } = flags
  const config = configOf(flags)
  const { topology, definitions } = readTopology(config)
  const own = isOneRegion(topology) ? await openExisting(config, 'confab-region') : undefined
  let regions: OpenRegions | undefined
  try {
    regions = await openRegions(topology, config, 'confab-region', note, { own: own?.nats })
    for (const { region, why } of regions.unreachable) note(`region ${region.name}: ${why}`)
    const result = await regionsStatus(topology, regions.open, definitions, { hash })
    if (flags.json)
      await print(`${JSON.stringify({ regions: result.regions, streams: result.streams }, undefined, 2)}\n`)
    else await print(`${regionsTable(result)}\n${streamsTable(result)}`)
    if (result.problems.length > 0) throw new CliError('NOT_READY', result.problems.join('; '))
  } finally {
    await regions?.close()
    await own?.close()
  }
}
