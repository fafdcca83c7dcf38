import { settlesWithin } from '../base/timeout.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { connectNats, type Nats } from '../infra/nats/index.ts'
import { isOneRegion, type OpenRegion, type Region, type Topology } from '../infra/nats/regions/index.ts'

/** A region whose servers were not reached. */
export interface UnreachableRegion {
  readonly region: Region
  readonly why: string
}

/** Connections to the regions of a topology. */
export interface OpenRegions {
  readonly open: readonly OpenRegion[]
  readonly unreachable: readonly UnreachableRegion[]
  close(): Promise<void>
}

export interface OpenRegionsOptions {
  /** The connection of a system of one region. */
  readonly own?: Nats | undefined
  /** Time in which the servers of a region have to accept a connection, ms. Default: 5,000. */
  readonly timeoutMs?: number
}

const connectTimeoutMs = 5_000

type ConnectionConfig = Pick<ConfabConfig, 'natsServers' | 'natsTls' | 'natsInboxPrefix' | 'natsPingMs'>

/** Returns the addresses of a region, with the credentials of the configured servers where they have none. */
export const urlsOf = (
  { urls }: Pick<Region, 'urls'>,
  { natsServers }: Pick<ConfabConfig, 'natsServers'>,
): string[] => {
  const own = natsServers?.[0]
  const { username, password } =
    own !== undefined && URL.canParse(own) ? new URL(own) : new URL('nats://none')
  const credentials = password === '' ? username : `${username}:${password}`
  return urls.map(url =>
    credentials === '' || new URL(url).username !== '' ? url : url.replace('://', `://${credentials}@`),
  )
}

const connectTo = async (
  region: Region,
  config: ConnectionConfig,
  name: string,
  timeoutMs: number,
  onNotice: (notice: string) => void,
): Promise<Nats> => {
  const connecting = connectNats({
    servers: urlsOf(region, config),
    tls: config.natsTls,
    inboxPrefix: config.natsInboxPrefix,
    pingMs: config.natsPingMs,
    name,
    onNotice: notice => onNotice(`region ${region.name}: ${notice}`),
  })
  if (await settlesWithin(timeoutMs, connecting)) return connecting
  void connecting.then(
    nats => nats.close(),
    () => {},
  )
  throw new Error(`no answer within ${timeoutMs / 1000} s`)
}

/**
 * Connects to each region of a topology by its own addresses, with the certificates of the configuration, and with the
 * credentials of the configured servers where an address has none. A topology of one region uses `own`, the connection
 * of the configuration. Never rejects for a region that cannot be reached.
 */
export const openRegions = async (
  topology: Topology,
  config: ConnectionConfig,
  name: string,
  onNotice: (notice: string) => void,
  { own, timeoutMs = connectTimeoutMs }: OpenRegionsOptions = {},
): Promise<OpenRegions> => {
  const { regions } = topology
  if (isOneRegion(topology) && own !== undefined)
    return { open: regions.map(region => ({ region, nats: own })), unreachable: [], close: async () => {} }
  const settled = await Promise.allSettled(
    regions.map(region => connectTo(region, config, name, timeoutMs, onNotice)),
  )
  const open: OpenRegion[] = []
  const unreachable: UnreachableRegion[] = []
  for (const [index, region] of regions.entries()) {
    const result = settled[index]
    if (result?.status === 'fulfilled') open.push({ region, nats: result.value })
    else
      unreachable.push({ region, why: result === undefined ? '' : String((result.reason as Error).message) })
  }
  return {
    open,
    unreachable,
    close: async () => {
      await Promise.all(open.map(({ nats }) => nats.close()))
    },
  }
}
