import type { ConfabConfig } from '../infra/config/index.ts'
import type { Nats } from '../infra/nats/index.ts'
import {
  domainOf,
  isOneRegion,
  type Region,
  type Topology,
  TopologyError,
} from '../infra/nats/regions/index.ts'

const fileOf = ({ topology }: Pick<ConfabConfig, 'topology'>): string => topology ?? 'streams/topology.yaml'

/**
 * Throws TopologyError for options that a process in a system of several regions cannot have: an embedded server, or
 * several roles. The links between regions join the accounts of single roles.
 */
export const checkRegionOptions = (
  topology: Topology,
  config: Pick<ConfabConfig, 'topology' | 'roles' | 'natsServers'>,
): void => {
  if (isOneRegion(topology)) return
  const { roles, natsServers } = config
  const problems = [
    ...(roles.length === 1
      ? []
      : [
          `a process of several regions has one role, and this one has ${roles.join(', ')}: start a process for each, with --roles ${roles[0]} and so on`,
        ]),
    ...(natsServers === undefined
      ? [
          'several regions need NATS servers of their own: name those of the region of this process with --nats',
        ]
      : []),
  ]
  if (problems.length > 0) throw new TopologyError(fileOf(config), problems)
}

/**
 * Finds the region of this process by the JetStream domain of its NATS servers. Undefined in a system of one region.
 * Throws TopologyError, NatsError.
 */
export const findOwnRegion = async (
  nats: Nats,
  topology: Topology,
  config: Pick<ConfabConfig, 'topology'>,
): Promise<Region | undefined> => {
  if (isOneRegion(topology)) return undefined
  const domain = await domainOf(nats.connection)
  const region = topology.regions.find(one => one.domain === domain)
  const problem = (text: string): TopologyError => new TopologyError(fileOf(config), [text])
  if (region === undefined)
    throw problem(
      `no region has ${domain === undefined ? 'servers without a JetStream domain' : `the JetStream domain ${domain}`}, as the servers of --nats: name servers of one of the regions ${topology.regions.map(({ name }) => name).join(', ')}, or correct the domains`,
    )
  if (region.isWitness)
    throw problem(
      `region ${region.name} is a witness, which has no streams of the log: name servers of another region with --nats`,
    )
  return region
}
