import { CodedError } from '../../../base/coded-error.ts'
import { Family } from '../../../events/index.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'

/** Servers that share a JetStream domain. */
export interface Region {
  readonly name: string
  /** The JetStream domain of the region's servers. Undefined in a topology of one region only. */
  readonly domain: string | undefined
  /** Addresses of the region's JetStream servers. Empty in a topology of one region: the configured servers. */
  readonly urls: readonly string[]
  /** Whether the region has no streams of the log: it only counts for majorities. */
  readonly isWitness: boolean
}

/** The regions that hold a stream of the log. */
export interface Placement {
  /** The region that is the stream's home: in the file, when the stream is created. */
  readonly home: string
  /** How often the home has changed, from 1. The file of a topology says nothing about it. */
  readonly epoch: number
  /** The regions that hold a mirror. */
  readonly mirrors: readonly string[]
  /** When a command is acknowledged: when the home, or when a mirror as well, has the event. */
  readonly ack: 'home' | 'mirror'
  /** The zone that the stream belongs to. */
  readonly zone: string | undefined
}

/** A set of streams, and the only regions that may hold copies of them. */
export interface Zone {
  /** The beginning of the ids that belong to the zone. */
  readonly prefix: string
  readonly regions: readonly string[]
}

/** How long a home may write without a new answer from a majority of the regions. All in ms. */
export interface LeaseSettings {
  readonly timeMs: number
  /** Interval of the questions that renew the lease. */
  readonly renewalMs: number
  /** Time that a new home waits beyond the lease, for clocks that differ. */
  readonly guardMs: number
}

/** The regions of a system, and the region that is home of each stream. */
export interface Topology {
  readonly regions: readonly Region[]
  /** By name of the stream, or by family. The name has precedence. */
  readonly placements: ReadonlyMap<string, Placement>
  readonly zones: ReadonlyMap<string, Zone>
  readonly lease: LeaseSettings
  /** Limits of the topology, for operators. */
  readonly notes: readonly string[]
}

/** Thrown for an invalid topology; its message names every wrong place. */
export class TopologyError extends CodedError<'BAD_OPTION'> {
  constructor(file: string, problems: readonly string[]) {
    super(
      'BAD_OPTION',
      problems.length === 1
        ? `${file}: ${problems[0]}`
        : `${file} is wrong in ${problems.length} places:\n${problems.map(problem => `  - ${problem}`).join('\n')}`,
    )
  }
}

/** Whether the streams are in one region, so that nothing is mirrored. */
export const isOneRegion = ({ regions }: Topology): boolean => regions.length === 1

/** The family of a stream of the log; undefined for any other stream. */
export const familyOf = ({ subjects }: Pick<StreamDefinition, 'subjects'>): Family | undefined =>
  Object.values(Family).find(family => subjects.some(subject => subject.startsWith(`${family}.`)))

/**
 * Returns the placement of a stream. Undefined for a stream that is not of the log: every region has its own, and so
 * has the only region of a system every stream.
 */
export const placementOf = (topology: Topology, definition: StreamDefinition): Placement | undefined =>
  isOneRegion(topology)
    ? undefined
    : (topology.placements.get(definition.name) ?? topology.placements.get(familyOf(definition) ?? ''))
