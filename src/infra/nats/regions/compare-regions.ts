import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import { ApiError, apiCodeOf } from '../client/jetstream-api.ts'
import { epochIn } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { compareStream, type StreamChange } from '../log/stream-differences.ts'
import { type ComparedStream, infoOf, named, openManager } from '../log/streams.ts'
import type { OpenRegion } from './open-region.ts'
import {
  firstPromises,
  newestPromises,
  type Promises,
  type RegionPromises,
  readPromises,
  withPromises,
} from './promises.ts'
import { mirrorConsumer, mirrorConsumerName, type RegionStream, streamsIn } from './region-streams.ts'
import { familyOf, type Placement, type Region, type Topology } from './topology.ts'

/** A difference of a stream in one region. */
export interface RegionChange extends StreamChange {
  readonly region: string
}

/** A stream in a region, compared with what the topology wants. */
export interface ComparedInRegion extends RegionStream {
  readonly compared: ComparedStream
}

export interface ComparedRegion {
  readonly region: Region
  readonly manager: JetStreamManager
  readonly streams: readonly ComparedInRegion[]
  /** Streams of the log that the region has, and that the topology does not place there. */
  readonly others: readonly StreamInfo[]
}

/** A consumer at a home that a mirror needs, and that is missing, or differs. */
export interface ConsumerChange {
  readonly home: ComparedRegion
  readonly mirror: ComparedRegion
  readonly stream: string
  /** Whether there is a consumer, which has to be replaced. */
  readonly exists: boolean
  /** Sequence that the consumer has to start with. */
  readonly startSeq: number
  /** Names of the settings that differ. Empty: the consumer, or the mirror, does not exist. */
  readonly differs: readonly string[]
}

/** A change of homes, which apply does not make. */
export interface Conflict {
  readonly region: string
  readonly stream: string
  readonly why: string
}

/** The promises of all regions, with those that each has to have. */
export interface ComparedPromises {
  readonly regions: readonly RegionPromises[]
  readonly wanted: Promises
}

export interface ComparedRegions {
  readonly promises: ComparedPromises
  readonly regions: readonly ComparedRegion[]
  readonly consumers: readonly ConsumerChange[]
  readonly conflicts: readonly Conflict[]
}

const compareInRegion = (manager: JetStreamManager, wanted: RegionStream): Promise<ComparedInRegion> =>
  named(wanted.definition.name, async () => {
    const defined = wanted.definition
    const info = await infoOf(manager, defined.name)
    return { ...wanted, compared: { ...compareStream(info, defined), defined, info } }
  })

const compareRegion = async (
  { region, nats }: OpenRegion,
  topology: Topology,
  definitions: readonly StreamDefinition[],
): Promise<ComparedRegion> => {
  const manager = await openManager(nats.connection)
  const wanted = streamsIn(topology, definitions, region)
  const streams = await Promise.all(wanted.map(one => compareInRegion(manager, one)))
  const unplaced = definitions
    .filter(definition => familyOf(definition) !== undefined)
    .filter(({ name }) => wanted.every(({ definition }) => definition.name !== name))
  const others = await Promise.all(unplaced.map(({ name }) => named(name, () => infoOf(manager, name))))
  return { region, manager, streams, others: others.filter(info => info !== undefined) }
}

const consumerOf = async (
  manager: JetStreamManager,
  stream: string,
  name: string,
): Promise<ConsumerInfo | undefined> => {
  try {
    return await manager.consumers.info(stream, name)
  } catch (error) {
    const code = apiCodeOf(error)
    if (code === ApiError.streamNotFound || code === ApiError.consumerNotFound) return undefined
    throw error
  }
}

/** Settings of a mirror's consumer that matter once it exists. */
const consumerSettings = [
  ...['deliver_subject', 'ack_policy', 'flow_control', 'idle_heartbeat', 'max_ack_pending'],
] as const

const compareConsumer = async (
  home: ComparedRegion,
  mirror: ComparedRegion,
  { compared: { info, defined } }: ComparedInRegion,
): Promise<ConsumerChange | undefined> => {
  const stream = defined.name
  const startSeq = (info?.state.last_seq ?? 0) + 1
  const actual = await named(stream, () =>
    consumerOf(home.manager, stream, mirrorConsumerName(mirror.region.name)),
  )
  const wanted: Readonly<Record<string, unknown>> = mirrorConsumer(mirror.region.name, stream, startSeq)
  const config = actual?.config as Readonly<Record<string, unknown>> | undefined
  const differs =
    config === undefined ? [] : consumerSettings.filter(setting => config[setting] !== wanted[setting])
  // The position of a consumer whose mirror does not exist belongs to an earlier mirror.
  if (actual !== undefined && info !== undefined && differs.length === 0) return undefined
  return { home, mirror, stream, exists: actual !== undefined, startSeq, differs }
}

const consumerChanges = async (regions: readonly ComparedRegion[]): Promise<ConsumerChange[]> => {
  const compared = regions.flatMap(mirror =>
    mirror.streams
      .filter(({ role }) => role === 'mirror')
      .map(stream => {
        const home = regions.find(({ region }) => region.name === stream.placement?.home)
        return home === undefined ? undefined : compareConsumer(home, mirror, stream)
      }),
  )
  return (await Promise.all(compared)).filter(change => change !== undefined)
}

const isMirror = (info: StreamInfo): boolean => info.config.mirror !== undefined

/** Finds what would change the home of a stream, or begin a second one. */
const conflictsIn = (regions: readonly ComparedRegion[]): Conflict[] => {
  const conflicts: Conflict[] = []
  for (const { region, streams, others } of regions) {
    const add = (stream: string, why: string): void => {
      conflicts.push({ region: region.name, stream, why })
    }
    for (const { role, placement, compared } of streams) {
      const { info, defined } = compared
      if (role !== undefined && info !== undefined && epochIn(info.config) > (placement?.epoch ?? 0))
        add(
          defined.name,
          `has epoch ${epochIn(info.config)} there, and its promise has epoch ${placement?.epoch}: an operator changes the home now, or a promise was lost`,
        )
      if (role === 'mirror' && info !== undefined && !isMirror(info))
        add(defined.name, `takes events there, and the topology has its home in ${placement?.home}`)
      if (role === 'home' && info !== undefined && isMirror(info))
        add(defined.name, 'is a mirror there, and the topology has its home there')
      if (role !== 'home' || info !== undefined || placement === undefined) continue
      const copy = copyOf(regions, defined.name, placement)
      if (copy !== undefined)
        add(
          defined.name,
          `does not exist in its home, and ${copy.region} has events of it up to ${copy.last}: a new home would begin at 1`,
        )
    }
    for (const info of others)
      if (!isMirror(info))
        add(info.config.name, 'takes events there, and the topology has its home in another region')
  }
  return conflicts
}

/** Returns the region outside of the home that has the most events of a stream; undefined when none has any. */
const copyOf = (
  regions: readonly ComparedRegion[],
  stream: string,
  { home }: Placement,
): { region: string; last: number } | undefined =>
  regions
    .filter(({ region }) => region.name !== home)
    .flatMap(({ region, streams, others }) =>
      [...streams.map(({ compared }) => compared.info), ...others]
        .filter(info => info?.config.name === stream)
        .map(info => ({ region: region.name, last: info?.state.last_seq ?? 0 })),
    )
    .filter(({ last }) => last > 0)
    .sort((one, other) => other.last - one.last)[0]

/** Reads the promises of all regions, which name the home of each stream that exists. */
const comparePromises = async (
  topology: Topology,
  open: readonly OpenRegion[],
  definitions: readonly StreamDefinition[],
): Promise<ComparedPromises> => {
  const regions = await readPromises(open)
  const newest = newestPromises(regions)
  return { regions, wanted: firstPromises(topology, definitions, newest) ?? newest }
}

/** Compares the streams of all regions with what the topology and the promises want. Throws NatsError. */
export const compareRegions = async (
  topology: Topology,
  open: readonly OpenRegion[],
  definitions: readonly StreamDefinition[],
): Promise<ComparedRegions> => {
  const promises = await comparePromises(topology, open, definitions)
  const current = withPromises(topology, definitions, promises.wanted)
  const regions = await Promise.all(open.map(one => compareRegion(one, current, definitions)))
  return { promises, regions, consumers: await consumerChanges(regions), conflicts: conflictsIn(regions) }
}
