import { askJetStream } from '../client/jetstream-api.ts'
import { supportedNats } from '../client/server-versions.ts'
import type { OpenRegion } from './open-region.ts'
import type { ExaminedRegions, RegionFinding } from './region-finding.ts'

/** The server of a region that the connection is with. */
export interface RegionServer {
  readonly region: string
  /** JetStream API level; 0 for a server that has none. */
  readonly level: number
  readonly version: string
  readonly domain: string | undefined
  /** The domain that the topology names. */
  readonly wantedDomain: string | undefined
}

const serverOf = async ({ region, nats }: OpenRegion): Promise<RegionServer> => {
  const { api, domain } = await askJetStream(nats.connection, manager => manager.getAccountInfo())
  return {
    region: region.name,
    level: api.level ?? 0,
    version: nats.connection.info?.version ?? 'unknown',
    domain: domain || undefined,
    wantedDomain: region.domain,
  }
}

const what = 'servers'

const findingOf = (server: RegionServer, all: readonly RegionServer[]): RegionFinding => {
  const { region: where, level, version, domain, wantedDomain } = server
  const detail = `nats-server ${version}, JetStream API level ${level}`
  if (level < supportedNats.apiLevel)
    return {
      what,
      where,
      state: 'ill',
      detail: `${detail}: confab needs level ${supportedNats.apiLevel}`,
      advice: `upgrade the servers of ${where} to nats-server ${supportedNats.line} or later`,
    }
  if (domain !== wantedDomain)
    return {
      what,
      where,
      state: 'ill',
      detail: `the servers are in the JetStream domain ${domain ?? 'without a name'}, and the topology says ${wantedDomain ?? 'none'}`,
      advice:
        'correct the addresses or the domain in the topology, or the domain in the configuration of the servers',
    }
  const newest = all.reduce((one, other) => (other.level > one.level ? other : one))
  if (level < newest.level)
    return {
      what,
      where,
      state: 'ill',
      detail: `${detail}: ${newest.region} has level ${newest.level}, and after a change of homes its streams may have settings that these servers do not know`,
      advice: `upgrade the servers of ${where} to nats-server ${newest.version}`,
    }
  const others = [...new Set(all.map(one => one.version))].filter(one => one !== version)
  if (others.length > 0)
    return { what, where, state: 'note', detail: `${detail}; other regions have ${others.join(', ')}` }
  return { what, where, state: 'well', detail }
}

/** Judges the servers of the regions by themselves and by each other. */
export const judgeServers = (servers: readonly RegionServer[]): RegionFinding[] =>
  servers.map(server => findingOf(server, servers))

/** Examines the servers. `usable`: the regions whose servers confab works with. */
export const diagnoseServers = async ({
  open,
  unreachable,
}: ExaminedRegions): Promise<{
  readonly findings: readonly RegionFinding[]
  readonly usable: readonly OpenRegion[]
}> => {
  const away = unreachable.map(
    ({ region, why }): RegionFinding => ({
      what,
      where: region.name,
      state: 'ill',
      detail: `cannot be reached: ${why}`,
      advice: `start the servers of ${region.name}, or repair the network; if the region is lost, "confab region failover" moves its homes`,
    }),
  )
  const asked = await Promise.allSettled(open.map(serverOf))
  const silent = asked.flatMap((one, index): RegionFinding[] =>
    one.status === 'fulfilled'
      ? []
      : [
          {
            what,
            where: open[index]?.region.name ?? '',
            state: 'ill',
            detail: `JetStream does not answer: ${(one.reason as Error).message}`,
            advice: 'see the log of the nats-server: JetStream needs a majority of the servers of a region',
          },
        ],
  )
  const servers = asked.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))
  const usable = open.filter(({ region }) =>
    servers.some(one => one.region === region.name && one.level >= supportedNats.apiLevel),
  )
  return { findings: [...away, ...silent, ...judgeServers(servers)], usable }
}
