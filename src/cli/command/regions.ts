import { type OpenRegions, openRegions } from '../../app/open-regions.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import { loadStreams, type StreamDefinition } from '../../infra/nats/index.ts'
import {
  domainOf,
  isOneRegion,
  loadTopology,
  type OpenRegion,
  type Topology,
} from '../../infra/nats/regions/index.ts'
import { note } from '../terminal/output.ts'
import { CliError } from './cli-error.ts'
import { openExisting } from './config-flags.ts'

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

/** Connects to all regions. Throws CliError when one of them cannot be reached. */
export const openAllRegions = async (
  config: ConfabConfig,
  topology: Topology,
  name: string,
): Promise<OpenRegions> => {
  const regions = await openRegions(topology, config, name, note)
  const [away] = regions.unreachable
  if (away === undefined) return regions
  await regions.close()
  throw new CliError(
    'NO_SERVER',
    `region ${away.region.name} cannot be reached, so nothing was done: ${away.why}`,
  )
}

/** The region that the configured servers are in, and a connection to it. */
export interface OwnRegion extends OpenRegion {
  close(): Promise<void>
}

/**
 * Connects to the configured servers, and finds their region by their JetStream domain. Without configured servers, a
 * topology of several regions means its first region with streams. Throws CliError, NatsError.
 */
export const openOwnRegion = async (
  config: ConfabConfig,
  topology: Topology,
  name: string,
): Promise<OwnRegion> => {
  const [only] = topology.regions
  if (only === undefined || (!isOneRegion(topology) && config.natsServers === undefined)) {
    const regions = topology.regions.filter(({ isWitness }) => !isWitness).slice(0, 1)
    const { open, close } = await openAllRegions(config, { ...topology, regions }, name)
    return { ...(open[0] as OpenRegion), close }
  }
  const { nats, close } = await openExisting(config, name)
  if (isOneRegion(topology)) return { region: only, nats, close }
  try {
    const domain = await domainOf(nats.connection)
    const region = topology.regions.find(one => one.domain === domain)
    if (region === undefined)
      throw new CliError(
        'BAD_OPTION',
        `the servers of --nats are in the JetStream domain ${domain ?? 'without a name'}, which no region of the topology has`,
      )
    return { region, nats, close }
  } catch (error) {
    await close()
    throw error
  }
}
