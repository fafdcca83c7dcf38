import { type JetStreamManager, jetstreamManager, type StreamInfo } from '@nats-io/jetstream'
import { sleep } from '../../../base/sleep.ts'
import type { Nats } from '../client/connection.ts'
import { apiSubject } from '../client/jetstream-api.ts'
import { epochIn, firstEpoch } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { missingIn } from '../log/stream-status.ts'
import { infoOf } from '../log/streams.ts'
import type { OpenRegion } from './open-region.ts'
import { newestPromises, readPromises, withPromises } from './promises.ts'
import { tailDigest } from './tail-digest.ts'
import { familyOf, type Placement, placementOf, type Region, type Topology } from './topology.ts'

/** A mirror of a stream. Unknown values are absent: the mirror does not exist, or a region does not answer. */
export interface MirrorStatus {
  readonly region: string
  /** Sequence of the last message. */
  readonly last?: number
  /** Messages of the home that the mirror lacks. */
  readonly behind?: number
  /** Age of the recovery point, s: of the oldest message that the mirror lacks. 0 when it lacks none. */
  readonly seconds?: number
  /** Whether the mirror received messages while it was watched. */
  readonly moving?: boolean
  /** Whether the mirror lacks messages and received none while it was watched. */
  readonly stalled?: boolean
  /** Whether the last messages that both have are equal. */
  readonly hashEqual?: boolean
}

/** A stream of the log in all regions. */
export interface StreamInRegions {
  readonly stream: string
  readonly home: string
  readonly epoch: number
  readonly ack: 'home' | 'mirror'
  /** Sequence of the last message of the home. Absent when the home does not answer. */
  readonly homeLast?: number
  readonly mirrors: readonly MirrorStatus[]
}

/** A fault of a region, of a stream or of a mirror that an operator has to repair. */
export interface RegionFault {
  readonly kind: 'away' | 'homes' | 'no home' | 'missing' | 'different' | 'beyond' | 'stalled' | 'skipped'
  /** Absent for a region that does not answer. */
  readonly stream?: string
  /** The region of the mirror, or that does not answer. Absent for a fault of homes. */
  readonly region?: string
  /** The fault as a sentence. */
  readonly text: string
}

export interface RegionsStatus {
  readonly regions: readonly {
    readonly region: string
    readonly reachable: boolean
    /** The greatest epoch of the region's streams and promises. Absent when the region does not answer. */
    readonly epochSeen?: number
  }[]
  readonly streams: readonly StreamInRegions[]
  readonly faults: readonly RegionFault[]
  /** The faults as sentences. */
  readonly problems: readonly string[]
}

export interface RegionsStatusOptions {
  /** Number of the last messages that are compared. Default: none is. */
  readonly hash?: number | undefined
  /** Time for which the mirrors are watched, ms. Default: 1,000. */
  readonly watchMs?: number
  /** Timeout of each request to a region, ms. Default: 3,000. */
  readonly timeoutMs?: number
}

/** The streams of the log in one region. */
type Sample = ReadonlyMap<string, StreamInfo>

interface WatchedRegion {
  readonly region: Region
  readonly nats: Nats
  readonly manager: JetStreamManager
}

interface Watched extends WatchedRegion {
  readonly before: Sample
  readonly after: Sample
}

const isMirror = ({ config }: StreamInfo): boolean => config.mirror !== undefined
const epochOf = ({ config }: StreamInfo): number => epochIn(config)

const sampleOf = async ({ manager }: WatchedRegion, streams: readonly string[]): Promise<Sample> => {
  const infos = await Promise.all(streams.map(stream => infoOf(manager, stream)))
  return new Map(
    infos.filter((info): info is StreamInfo => info !== undefined).map(info => [info.config.name, info]),
  )
}

/** Asks all regions twice. Returns those that answered both times. */
const watch = async (
  open: readonly OpenRegion[],
  streams: readonly string[],
  { watchMs = 1_000, timeoutMs = 3_000 }: RegionsStatusOptions,
): Promise<Watched[]> => {
  const regions = await Promise.all(
    open.map(async ({ region, nats }) => ({
      region,
      nats,
      manager: await jetstreamManager(nats.connection, { checkAPI: false, timeout: timeoutMs }),
    })),
  )
  const sampleAll = () => Promise.allSettled(regions.map(region => sampleOf(region, streams)))
  const before = await sampleAll()
  await sleep(watchMs)
  const after = await sampleAll()
  return regions.flatMap((region, index) => {
    const [one, other] = [before[index], after[index]]
    return one?.status === 'fulfilled' && other?.status === 'fulfilled'
      ? [{ ...region, before: one.value, after: other.value }]
      : []
  })
}

/** Returns the age of the first message after a sequence, s; 0 when there is none. Any replica answers. */
const ageAfter = async (
  { nats }: WatchedRegion,
  stream: string,
  sequence: number,
  timeout = 3_000,
): Promise<number> => {
  const request = JSON.stringify({ seq: sequence + 1, next_by_subj: '>' })
  const answer = await nats.connection.request(apiSubject('DIRECT.GET', stream), request, { timeout })
  const at = Date.parse(answer.headers?.get('Nats-Time-Stamp') ?? '')
  return Number.isNaN(at) ? 0 : Math.max(0, (Date.now() - at) / 1_000)
}

/**
 * Returns the number of messages that a mirror has skipped although its home may have them. A mirror copies no deletes,
 * so it lacks at most the messages that its home lacks. More: it lost its end, and continued beyond it.
 */
const skippedBy = (home: StreamInfo, mirror: StreamInfo): number =>
  Math.max(0, missingIn(mirror) - missingIn(home))

interface Positions {
  readonly home: { readonly before: number; readonly after: number }
  readonly mirror: { readonly before: number; readonly after: number }
}

/**
 * Judges a mirror by sequences only. JetStream's own `lag` and `active` look healthy while a link passes nothing. A
 * message that arrived at the home within the watch does not make a mirror stalled.
 */
export const judgeMirror = ({
  home,
  mirror,
}: Positions): { behind: number; moving: boolean; stalled: boolean } => ({
  behind: Math.max(0, home.after - mirror.after),
  moving: mirror.after > mirror.before,
  stalled: mirror.after === mirror.before && mirror.after < home.before,
})

/** Returns the status of a mirror, with its home as of the same samples. */
const mirrorOf = async (
  stream: string,
  home: Watched,
  mirror: Watched,
  hash: number | undefined,
): Promise<MirrorStatus> => {
  const region = mirror.region.name
  const last = (side: Watched, sample: 'before' | 'after') => side[sample].get(stream)?.state.last_seq ?? 0
  const positions = {
    home: { before: last(home, 'before'), after: last(home, 'after') },
    mirror: { before: last(mirror, 'before'), after: last(mirror, 'after') },
  }
  const judged = judgeMirror(positions)
  const seconds = judged.behind === 0 ? 0 : await ageAfter(home, stream, positions.mirror.after)
  const common = Math.min(positions.home.after, positions.mirror.after)
  const range = { first: Math.max(1, common - (hash ?? 0) + 1), last: common }
  const digests =
    hash === undefined
      ? []
      : await Promise.all([home, mirror].map(({ nats }) => tailDigest(nats, stream, range)))
  return {
    region,
    last: positions.mirror.after,
    behind: judged.behind,
    seconds: Math.round(seconds * 10) / 10,
    moving: judged.moving,
    stalled: judged.stalled,
    ...(hash === undefined ? {} : { hashEqual: digests[0] === digests[1] }),
  }
}

/** Returns what is wrong with a mirror, each with the rest of a sentence about it. */
const mirrorFaults = (
  { behind = 0, stalled, hashEqual, last, seconds = 0 }: MirrorStatus,
  homeLast: number,
): (readonly [RegionFault['kind'], string])[] => {
  if (last === undefined) return [['missing', 'does not exist']]
  const faults: (readonly [RegionFault['kind'], string])[] = []
  if (hashEqual === false) faults.push(['different', 'holds other messages than its home'])
  if (last > homeLast) faults.push(['beyond', `is ${last - homeLast} messages beyond its home`])
  if (stalled) faults.push(['stalled', `is stalled: ${behind} messages and ${seconds} s behind its home`])
  return faults
}

const statusOf = async (
  stream: string,
  placement: Placement,
  watched: readonly Watched[],
  { hash }: RegionsStatusOptions,
): Promise<{ readonly status: StreamInRegions; readonly faults: readonly RegionFault[] }> => {
  const faults: RegionFault[] = []
  const holders = watched.filter(({ after }) => after.has(stream))
  const infoIn = (one: Watched): StreamInfo => one.after.get(stream) as StreamInfo
  const homes = holders
    .filter(one => !isMirror(infoIn(one)))
    .sort((one, other) => epochOf(infoIn(other)) - epochOf(infoIn(one)))
  const [home, ...others] = homes
  if (others.length > 0)
    faults.push({
      kind: 'homes',
      stream,
      text: `${stream} has ${homes.length} homes, ${homes.map(({ region }) => region.name).join(' and ')}: only one may take events`,
    })
  const isHomeReached = watched.some(({ region }) => region.name === placement.home)
  if (home === undefined && isHomeReached)
    faults.push({
      kind: 'no home',
      stream,
      text: `${stream} has no home: run "confab streams apply" if it is a new system`,
    })
  const homeName = home?.region.name ?? placement.home
  const names = new Set([
    ...placement.mirrors,
    ...holders.filter(one => isMirror(infoIn(one))).map(({ region }) => region.name),
  ])
  names.delete(homeName)
  const homeLast = home === undefined ? undefined : infoIn(home).state.last_seq
  const mirrors = await Promise.all(
    [...names].map(async (region): Promise<MirrorStatus> => {
      const mirror = holders.find(one => one.region.name === region)
      if (mirror === undefined) return { region }
      if (home === undefined) return { region, last: infoIn(mirror).state.last_seq }
      return mirrorOf(stream, home, mirror, hash)
    }),
  )
  for (const mirror of mirrors) {
    const isReached = watched.some(({ region }) => region.name === mirror.region)
    const own = isReached && homeLast !== undefined ? mirrorFaults(mirror, homeLast) : []
    const note = (kind: RegionFault['kind'], text: string): void => {
      const { region } = mirror
      faults.push({ kind, stream, region, text: `the mirror of ${stream} in ${region} ${text}` })
    }
    const holder = holders.find(one => one.region.name === mirror.region)
    const skipped = home === undefined || holder === undefined ? 0 : skippedBy(infoIn(home), infoIn(holder))
    if (skipped > 0) note('skipped', `has skipped ${skipped} messages of its home: replace the mirror`)
    for (const [kind, text] of own) note(kind, text)
  }
  const epochs = holders.map(one => epochOf(infoIn(one)))
  const status: StreamInRegions = {
    stream,
    home: homeName,
    epoch: Math.max(firstEpoch, ...(home === undefined ? epochs : [epochOf(infoIn(home))])),
    ack: placement.ack,
    ...(homeLast === undefined ? {} : { homeLast }),
    mirrors,
  }
  return { status, faults }
}

/**
 * Returns the status of all regions, and of the streams of the log in them. `open`: the regions that were reached.
 * Rejects with NatsError, or with an error of NATS, when a region stops to answer meanwhile.
 */
export const regionsStatus = async (
  topology: Topology,
  open: readonly OpenRegion[],
  definitions: readonly StreamDefinition[],
  options: RegionsStatusOptions = {},
): Promise<RegionsStatus> => {
  const promises = await readPromises(open, options.timeoutMs)
  const current = withPromises(topology, definitions, newestPromises(promises))
  const ofLog = definitions.filter(definition => familyOf(definition) !== undefined)
  const watched = await watch(
    open,
    ofLog.map(({ name }) => name),
    options,
  )
  const onlyRegion: Placement = {
    home: topology.regions[0]?.name ?? '',
    epoch: firstEpoch,
    mirrors: [],
    ack: 'home',
    zone: undefined,
  }
  const statuses = await Promise.all(
    ofLog.map(definition =>
      statusOf(definition.name, placementOf(current, definition) ?? onlyRegion, watched, options),
    ),
  )
  const regions = topology.regions.map(({ name }) => {
    const found = watched.find(({ region }) => region.name === name)
    if (found === undefined) return { region: name, reachable: false }
    const own = promises.find(({ region }) => region.name === name)?.stored.value
    const promised = Object.values(own?.streams ?? {}).map(({ epoch }) => epoch)
    const epochSeen = Math.max(firstEpoch, ...promised, ...[...found.after.values()].map(epochOf))
    return { region: name, reachable: true, epochSeen }
  })
  const away = regions.filter(({ reachable }) => !reachable)
  const faults: RegionFault[] = [
    ...away.map(
      ({ region }) => ({ kind: 'away', region, text: `region ${region} does not answer` }) as const,
    ),
    ...statuses.flatMap(one => one.faults),
  ]
  return {
    regions,
    streams: statuses.map(({ status }) => status),
    faults,
    problems: faults.map(({ text }) => text),
  }
}
