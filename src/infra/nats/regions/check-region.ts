import type { NatsConnection } from '@nats-io/transport-node'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { checkStreams } from '../log/streams.ts'
import { streamsIn } from './region-streams.ts'
import type { Region, Topology } from './topology.ts'

/**
 * Settings that differ between a home, a mirror and a stream whose home is changing. Processes start with any of them,
 * and read what the stream is at present.
 */
const ofRole: ReadonlySet<string> = new Set([
  ...['subjects', 'subject_transform', 'allow_atomic', 'duplicate_window'],
  ...['mirror', 'mirror_direct', 'metadata'],
])

/**
 * Checks the streams of a region as `checkStreams` does, whether the streams of the log are homes or mirrors. Throws
 * NatsError.
 */
export const checkRegion = (
  connection: NatsConnection,
  topology: Topology,
  definitions: readonly StreamDefinition[],
  region: Region,
): Promise<readonly string[]> =>
  checkStreams(
    connection,
    streamsIn(topology, definitions, region).map(({ definition, role }) =>
      role === undefined
        ? definition
        : {
            ...Object.fromEntries(Object.entries(definition).filter(([field]) => !ofRole.has(field))),
            name: definition.name,
          },
    ),
  )
