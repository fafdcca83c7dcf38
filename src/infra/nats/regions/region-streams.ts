import { type ConsumerConfig, DeliverPolicy, type StreamConfig } from '@nats-io/jetstream'
import { ingestSubject, RegionMetadata } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import type { AnyDefinition } from '../log/stream-differences.ts'
import { promisesStream } from './promises-stream.ts'
import { isOneRegion, type Placement, placementOf, type Region, type Topology } from './topology.ts'

/** The role of a stream in a region: `home` takes events, `mirror` is a copy. */
export type StreamRole = 'home' | 'mirror'

/** A stream as a region has to have it. */
export interface RegionStream {
  readonly definition: AnyDefinition
  /** Undefined for a stream that every region has for itself. */
  readonly role: StreamRole | undefined
  /** Where the other copies are; undefined as for `role`. */
  readonly placement: Placement | undefined
}

/** Returns the name of the consumer by which a region follows its homes in other regions. */
export const mirrorConsumerName = (region: string): string => `mirror-${region}`

/** Returns the subject on which the home sends a stream to the mirror in a region. */
export const mirrorSubjectOf = (region: string, stream: string): string => `mirror.${region}.${stream}`

/** The consumer sends a heartbeat at this interval. The server requires exactly one second with this ack policy. */
const heartbeatNs = 1e9
/** Messages that the home sends before the mirror has confirmed earlier ones. */
const maxAckPending = 50_000

/**
 * Returns the consumer by which a mirror follows its home. It keeps the position of the mirror at the home: after the
 * link was cut, the home continues as soon as the link works (docs/adr/0040). `startSeq`: the first sequence to send.
 */
export const mirrorConsumer = (region: string, stream: string, startSeq: number) =>
  ({
    durable_name: mirrorConsumerName(region),
    description: `The mirror in region ${region}`,
    deliver_subject: mirrorSubjectOf(region, stream),
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: startSeq,
    ack_policy: 'flow_control',
    flow_control: true,
    idle_heartbeat: heartbeatNs,
    max_ack_pending: maxAckPending,
  }) as const satisfies Partial<ConsumerConfig>

/** Returns the definition of a mirror: the server refuses what only a stream with subjects may have. */
const mirrorOf = (
  { subjects, allow_atomic, duplicate_window, ...definition }: AnyDefinition,
  homeDomain: string,
  region: string,
): AnyDefinition => ({
  ...definition,
  mirror: {
    name: definition.name,
    external: { api: `$JS.${homeDomain}.API` },
    consumer: {
      name: mirrorConsumerName(region),
      deliver_subject: mirrorSubjectOf(region, definition.name),
    },
  },
})

const withMetadata = (definition: StreamDefinition, role: StreamRole, epoch: number): StreamDefinition => ({
  ...definition,
  metadata: {
    ...definition.metadata,
    [RegionMetadata.role]: role,
    [RegionMetadata.epoch]: String(epoch),
    [RegionMetadata.subjects]: definition.subjects.join(' '),
  },
})

/**
 * Returns the subjects that a home takes, and the transform to those under which it stores. Writers name the epoch: a
 * writer of another epoch reaches no stream. `subjects`: those under which it stores, of one family.
 */
export const ingestOfHome = (
  subjects: readonly string[],
  ingest: (subject: string) => string,
): Pick<StreamConfig, 'subjects' | 'subject_transform'> => {
  const family = subjects[0]?.split('.')[0] ?? ''
  return {
    subjects: subjects.map(ingest),
    subject_transform: {
      src: ingest(`${family}.*.*`),
      dest: `${family}.{{wildcard(1)}}.{{wildcard(2)}}`,
    },
  }
}

const homeOf = (definition: StreamDefinition, epoch: number): StreamDefinition => ({
  ...withMetadata(definition, 'home', epoch),
  ...ingestOfHome(definition.subjects, subject => ingestSubject(epoch, subject)),
})

/** Returns the definitions of the streams that a region has. */
export const definitionsIn = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  region: Region,
): AnyDefinition[] => streamsIn(topology, definitions, region).map(({ definition }) => definition)

/**
 * Returns the streams that a region has. In a topology of one region, these are the definitions as they are; a witness
 * has `PROMISES` only.
 */
export const streamsIn = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  region: Region,
): RegionStream[] => {
  if (isOneRegion(topology))
    return definitions.map(definition => ({ definition, role: undefined, placement: undefined }))
  const ownOnly = { role: undefined, placement: undefined }
  const promises: RegionStream = { definition: promisesStream(region.name, definitions), ...ownOnly }
  if (region.isWitness) return [promises]
  const streams = definitions.flatMap((definition): RegionStream[] => {
    const placement = placementOf(topology, definition)
    if (placement === undefined) return [{ definition, ...ownOnly }]
    const { home, mirrors, epoch } = placement
    if (home === region.name) return [{ definition: homeOf(definition, epoch), role: 'home', placement }]
    if (!mirrors.includes(region.name)) return []
    const domain = topology.regions.find(({ name }) => name === home)?.domain ?? ''
    const mirror = mirrorOf(withMetadata(definition, 'mirror', epoch), domain, region.name)
    return [{ definition: mirror, role: 'mirror', placement }]
  })
  return [...streams, promises]
}
