import type { StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Cut } from '../../../commands/index.ts'
import {
  type AggregateRef,
  Family,
  type Position,
  partitionCount,
  partitionOf,
} from '../../../events/index.ts'
import { askJetStream } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

/** The streams that hold the log, and the partitions that each of them holds. */
export interface LogLayout {
  /**
   * Stream names: those of conversations, then those of users. In each family the streams without an origin are first,
   * by their lowest partition. The others follow in the order in which they were added.
   */
  readonly streams: readonly string[]
  /** The stream that holds an aggregate. */
  streamOf(aggregate: AggregateRef): string
  /** The family that a stream of the log holds. */
  familyOf(stream: string): Family
  /**
   * The end of a stream's part in another stream; undefined for most. A stream with an origin was added when partitions
   * moved: it holds a copy of the origin's events up to this position, and the later events of its own partitions.
   * Readers of whole streams read the origin up to there, then this stream: each event once, and each aggregate in
   * order.
   */
  originOf(stream: string): Position | undefined
  /** Epoch of a stream: how often its home changed between regions, from 1. 1 in a system of one region. */
  epochOf(stream: string): number
  /** Where a stream was continued after its home changed, ascending. None in a system of one region. */
  cutsOf(stream: string): readonly Cut[]
  /**
   * The beginning of the subject to which an event of an aggregate is published. Empty in a system of one region. With
   * several regions it is the epoch of the stream, so that a writer of an earlier epoch reaches no stream. Undefined
   * while the stream takes no events in this region: it is a mirror, or its home is changing.
   */
  ingestPrefixOf(aggregate: AggregateRef): string | undefined
  /** Whether a stream takes events in this region. */
  takesEvents(stream: string): boolean
}

/**
 * Whether a stream has stored the events of an aggregate itself. A stream that was added begins with copies of all
 * events of its origin, some of them from after the end of its part there.
 */
export const hasStored = (
  layout: Pick<LogLayout, 'streamOf' | 'originOf'>,
  stream: string,
  aggregate: AggregateRef,
): boolean => {
  if (layout.originOf(stream) === undefined) return true
  let holder: string | undefined = layout.streamOf(aggregate)
  while (holder !== undefined && holder !== stream) holder = layout.originOf(holder)?.stream
  return holder === stream
}

/** A layout as it was at one time. */
export interface FixedLayout extends LogLayout {
  /** Equal for equal layouts. */
  readonly fingerprint: string
}

/** Metadata of streams between which partitions moved. All but `moved` are of a stream that was added. */
export const OriginMetadata = {
  /** The stream that held its partitions before. */
  stream: 'confab-origin-stream',
  /** The last sequence of the origin that may hold an event of its partitions. */
  sequence: 'confab-origin-sequence',
  /** Ascending in the order in which the streams of a family were added, from 1. */
  order: 'confab-origin-order',
  /** On a stream from which partitions moved. */
  moved: 'confab-moved',
} as const

const originIn = ({ config: { metadata } }: StreamInfo): Position | undefined => {
  const stream = metadata?.[OriginMetadata.stream]
  const streamSeq = Number(metadata?.[OriginMetadata.sequence])
  return stream !== undefined && streamSeq >= 0 ? { stream, streamSeq } : undefined
}

const orderOf = ({ config: { metadata } }: StreamInfo): number =>
  Number(metadata?.[OriginMetadata.order] ?? 0)

/** Keys of the metadata that a stream of the log has in a system of several regions. */
export const RegionMetadata = {
  /** `home` or `mirror`. */
  role: 'confab.role',
  /** How often the home of the stream has changed, from 1. */
  epoch: 'confab.epoch',
  /** The cuts of a stream whose home has changed: `<epoch>:<streamSeq>`, ascending, with spaces between them. */
  cuts: 'confab.cuts',
  /** The subjects under which readers find the events, with spaces between them. A mirror takes no subjects itself. */
  subjects: 'confab.subjects',
} as const

/** Returns the cuts of a stream: `2:1200 5:3400` in its metadata, ascending. */
export const cutsIn = ({ metadata }: Pick<StreamConfig, 'metadata'>): Cut[] =>
  (metadata?.[RegionMetadata.cuts] ?? '')
    .split(' ')
    .filter(text => text !== '')
    .map(text => {
      const [epoch, streamSeq] = text.split(':').map(Number)
      return { epoch: epoch ?? 0, streamSeq: streamSeq ?? 0 }
    })

/** The epoch of a stream that has never changed its home. */
export const firstEpoch = 1

/**
 * Returns the subject to which writers of an epoch publish what a stream stores under `subject`. The epoch is a token
 * of its own, so that a pattern of rights can name all epochs.
 */
export const ingestSubject = (epoch: number | '*', subject: string): string => `epoch.${epoch}.${subject}`

/** Returns the epoch of a stream. */
export const epochIn = ({ metadata }: Pick<StreamConfig, 'metadata'>): number =>
  Number(metadata?.[RegionMetadata.epoch] ?? firstEpoch)

/** Returns the subjects under which a stream stores its messages. None for a copy that a restore made. */
export const storedSubjectsOf = ({
  subjects,
  metadata,
}: Partial<Pick<StreamConfig, 'subjects' | 'metadata'>>): readonly string[] => {
  if (subjects?.[0]?.startsWith('restored.')) return []
  return metadata?.[RegionMetadata.subjects]?.split(' ') ?? subjects ?? []
}

/** Whether a stream of several regions takes events of its epoch: it is the home, and its home is not changing. */
export const takesEpoch = (config: StreamConfig): boolean => {
  const taken = new Set(config.subjects)
  return storedSubjectsOf(config).every(subject => taken.has(ingestSubject(epochIn(config), subject)))
}

/** How a stream takes events. */
interface Ingest {
  readonly epoch: number
  /** The beginning of the subjects to which events are published; undefined while the stream takes none. */
  readonly prefix: string | undefined
}

const ingestOf = ({ config }: StreamInfo): Ingest => {
  const epoch = epochIn(config)
  if (config.metadata?.[RegionMetadata.subjects] === undefined) return { epoch, prefix: '' }
  return { epoch, prefix: takesEpoch(config) ? ingestSubject(epoch, '') : undefined }
}

/** Returns the name of the stream that holds each partition of a family. */
const streamsByPartition = (infos: readonly StreamInfo[], family: Family): string[] => {
  const byPartition = new Array<string | undefined>(partitionCount)
  for (const { config } of infos)
    for (const subject of storedSubjectsOf(config)) {
      if (!subject.startsWith(`${family}.`)) continue
      const partition = subject.split('.')[1]
      if (partition === '*' || partition === '>') byPartition.fill(config.name)
      else byPartition[Number(partition)] = config.name
    }
  return Array.from(byPartition, (name, partition) => {
    if (name !== undefined) return name
    throw new NatsError(
      NatsProblem.streams,
      `no stream has ${family}.${partition}.*: apply the definitions first (confab streams apply)`,
    )
  })
}

/**
 * Finds the streams of the log by the subjects under which they store, never by name: a restored copy has another one.
 * Throws NatsError when no stream has a partition, or when one stream has subjects of both families.
 */
export const discoverLog = async (connection: NatsConnection): Promise<FixedLayout> => {
  const infos = await askJetStream(connection, async manager => {
    const listed: StreamInfo[] = []
    for await (const info of manager.streams.list()) listed.push(info)
    return listed
  })
  const byFamily = {
    conv: streamsByPartition(infos, Family.conversation),
    user: streamsByPartition(infos, Family.user),
  }
  const byName = new Map(infos.map(info => [info.config.name, info]))
  const orderIn = (stream: string): number => orderOf(byName.get(stream) as StreamInfo)
  // The order of positions in the ids of event streams: a stream that is added must not move the others.
  const ordered = (streams: readonly string[]): string[] =>
    [...new Set(streams)].sort((one, other) => orderIn(one) - orderIn(other))
  const families = new Map<string, Family>(
    ordered(byFamily.conv).map(stream => [stream, Family.conversation]),
  )
  for (const stream of ordered(byFamily.user)) {
    if (families.get(stream) === Family.conversation)
      throw new NatsError(
        NatsProblem.streams,
        `${stream} takes subjects of both conv and user: each family needs streams of its own`,
      )
    families.set(stream, Family.user)
  }
  const streams = [...families.keys()]
  const origins = new Map(streams.map(stream => [stream, originIn(byName.get(stream) as StreamInfo)]))
  const originOf = (stream: string): Position | undefined => origins.get(stream)
  const ingests = new Map(streams.map(stream => [stream, ingestOf(byName.get(stream) as StreamInfo)]))
  const cuts = new Map(streams.map(stream => [stream, cutsIn((byName.get(stream) as StreamInfo).config)]))
  // A stream that was added has the events of its origin, under the same sequences.
  const cutsOf = (stream: string): readonly Cut[] => {
    const origin = originOf(stream)
    const own = cuts.get(stream) ?? []
    if (origin === undefined) return own
    const before = cutsOf(origin.stream).filter(({ streamSeq }) => streamSeq <= origin.streamSeq)
    return [...before, ...own.filter(cut => before.every(({ epoch }) => epoch !== cut.epoch))]
  }
  const isOneRegion = [...ingests.values()].every(({ prefix }) => prefix === '')
  const streamOf = ({ family, id }: AggregateRef): string => byFamily[family][partitionOf(id)] as string
  return {
    streams,
    streamOf,
    familyOf: stream => {
      const family = families.get(stream)
      if (family === undefined) throw new RangeError(`${stream} is not a stream of the log`)
      return family
    },
    originOf,
    epochOf: stream => ingests.get(stream)?.epoch ?? firstEpoch,
    cutsOf,
    ingestPrefixOf: aggregate => (isOneRegion ? '' : ingests.get(streamOf(aggregate))?.prefix),
    takesEvents: stream => ingests.get(stream)?.prefix !== undefined,
    fingerprint: JSON.stringify([streams, byFamily, streams.map(originOf), [...ingests], [...cuts]]),
  }
}
