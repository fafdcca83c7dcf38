import { type OpenRegions, openRegions } from '../../app/open-regions.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { loadStreams, type StreamDefinition } from '../../infra/nats/index.ts'
import { loadTopology, type Topology } from '../../infra/nats/regions/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'

export interface SystemTopology {
  readonly topology: Topology
  readonly definitions: readonly StreamDefinition[]
}

/** Reads the definitions of the streams, and the regions that hold them. Throws NatsError, TopologyError. */
export const readTopology = (config: ConfabConfig): SystemTopology => {
  const definitions = loadStreams({ replicas: config.natsReplicas })
  const topology = loadTopology(definitions, config.topology)
  for (const text of topology.notes) note(`topology: ${text}`)
  return { topology, definitions }
}

/** Connects to all regions that hold streams. Throws CliError when one of them cannot be reached. */
export const openDataRegions = async (
  config: ConfabConfig,
  topology: Topology,
  name: string,
): Promise<OpenRegions> => {
  const withStreams = { ...topology, regions: topology.regions.filter(({ isWitness }) => !isWitness) }
  const regions = await openRegions(withStreams, config, name, note)
  const [away] = regions.unreachable
  if (away === undefined) return regions
  await regions.close()
  throw new CliError(
    'NO_SERVER',
    `region ${away.region.name} cannot be reached, so nothing was done: ${away.why}`,
  )
}
