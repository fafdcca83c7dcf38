import { type ConsumerConfig, DeliverPolicy } from '@nats-io/jetstream'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import type { AnyDefinition } from '../log/stream-differences.ts'
import { type Placement, placementOf, type Region, type Topology } from './topology.ts'

/** Keys of a stream's metadata, which say what it is in its region. */
export const RegionMetadata = { role: 'confab.role', epoch: 'confab.epoch' } as const

/** The role of a stream in a region: `home` takes events, `mirror` is a copy. */
export type StreamRole = 'home' | 'mirror'

/** The epoch of a stream that has never changed its home. */
export const firstEpoch = 1

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
  { subjects, allow_atomic, duplicate_window, ...definition }: StreamDefinition,
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

const withMetadata = (definition: AnyDefinition, role: StreamRole): AnyDefinition => ({
  ...definition,
  metadata: {
    ...definition.metadata,
    [RegionMetadata.role]: role,
    [RegionMetadata.epoch]: String(firstEpoch),
  },
})

/**
 * Returns the definitions of the streams of a region without their epoch, which rises when their home changes: a stream
 * of another epoch is as defined.
 */
export const definitionsIn = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  region: Region,
): AnyDefinition[] =>
  streamsIn(topology, definitions, region).map(({ definition }) => {
    const { [RegionMetadata.epoch]: _, ...metadata } = definition.metadata ?? {}
    return { ...definition, metadata }
  })

/**
 * Returns the streams that a region has. In a topology of one region, these are the definitions as they are; a witness
 * has none.
 */
export const streamsIn = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  region: Region,
): RegionStream[] => {
  if (region.isWitness) return []
  return definitions.flatMap((definition): RegionStream[] => {
    const placement = placementOf(topology, definition)
    if (placement === undefined) return [{ definition, role: undefined, placement }]
    if (placement.home === region.name)
      return [{ definition: withMetadata(definition, 'home'), role: 'home', placement }]
    if (!placement.mirrors.includes(region.name)) return []
    const domain = topology.regions.find(({ name }) => name === placement.home)?.domain ?? ''
    const mirror = withMetadata(mirrorOf(definition, domain, region.name), 'mirror')
    return [{ definition: mirror, role: 'mirror', placement }]
  })
}
