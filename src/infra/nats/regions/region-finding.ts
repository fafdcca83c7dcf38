import type { StreamDefinition } from '../log/stream-definitions.ts'
import type { OpenRegion } from './open-region.ts'
import type { Region, Topology } from './topology.ts'

/** A repair that removes a finding. */
export interface Cure {
  /** The effect, as an operator reads it before. Two findings with the same text have the same cure. */
  readonly does: string
  /** Whether the cure removes messages of a mirror. Nothing of a home can be lost. */
  readonly isDestructive: boolean
  /** Returns what was changed, for the audit record. Throws NatsError. */
  readonly run: () => Promise<Readonly<Record<string, string>>>
}

/** The result of one check of regions. */
export interface RegionFinding {
  /** A stream, a link, or the servers of a region. */
  readonly what: string
  readonly state: 'well' | 'ill' | 'note'
  readonly detail: string
  /** The next step of an operator. */
  readonly advice?: string
  /** The region, or two regions as `a to b`. */
  readonly where?: string
  /** Present where a command can do it. */
  readonly cure?: Cure
}

/** The system that is examined. */
export interface ExaminedRegions {
  readonly topology: Topology
  /** The regions that were reached. */
  readonly open: readonly OpenRegion[]
  readonly unreachable: readonly { readonly region: Region; readonly why: string }[]
  readonly definitions: readonly StreamDefinition[]
}
