import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { ConfabConfig } from '../infra/config/index.ts'
import {
  connectNats,
  type Nats,
  type NatsOptions,
  type NatsServer,
  startNatsServer,
} from '../infra/nats/index.ts'

/** The NATS of a configuration: existing servers, or the embedded one of the data folder. */
export interface OpenNats {
  readonly nats: Nats
  readonly servers: readonly string[]
  /** Whether it is the embedded server. */
  readonly isEmbedded: boolean
  close(): Promise<void>
}

/**
 * Connects to the servers of a configuration; where it names none, to the embedded one: that of another process that uses the data folder, else one that is
 * started here and ended by `close`. Should the other process end, its server goes with it; a new one takes its place here, at the same address. Throws NatsError.
 */
export const openNats = async (
  config: Pick<ConfabConfig, 'data' | 'natsServers'>,
  name: string,
  onNotice: (notice: string) => void,
  onListenerError?: NatsOptions['onListenerError'],
): Promise<OpenNats> => {
  const options = { name, onNotice, ...(onListenerError === undefined ? {} : { onListenerError }) }
  if (config.natsServers !== undefined) {
    const nats = await connectNats({ servers: config.natsServers, ...options })
    return { nats, servers: config.natsServers, isEmbedded: false, close: () => nats.close() }
  }
  const start = (): Promise<NatsServer> => startNatsServer({ dataDir: config.data, onNotice })
  let server = await start()
  let nats: Nats
  try {
    nats = await connectNats({ servers: server.url, ...options })
  } catch (error) {
    await server.stop()
    throw error
  }

  let isClosing = false
  let taking: Promise<void> | undefined
  const takeOver = async (): Promise<void> => {
    while (!server.isOurs && !nats.connected() && !isClosing)
      try {
        server = await start()
      } catch (error) {
        onNotice(error instanceof Error ? error.message : String(error))
      }
    taking = undefined
  }
  nats.onChange(isConnected => {
    if (!isConnected && !server.isOurs) taking ??= takeOver()
  })
  return {
    nats,
    servers: [server.url],
    isEmbedded: true,
    close: async () => {
      isClosing = true
      await nats.close()
      await taking
      await server.stop()
    },
  }
}

/** Whether a data folder has ever held an embedded log. */
export const hasEmbeddedLog = (data: string): boolean => existsSync(join(data, 'nats'))
