import {
  applyStreams,
  connectNats,
  loadStreams,
  type Nats,
  startNatsServer,
} from '../../src/infra/nats/index.ts'
import { temporaryFolder } from './folders.ts'

/** A nats-server with confab's streams in an empty folder, as `confab serve` starts it. */
export interface BenchNats {
  readonly url: string
  connect(): Promise<Nats>
  stop(): Promise<void>
}

export const startNats = async (): Promise<BenchNats> => {
  const folder = temporaryFolder()
  const server = await startNatsServer({ dataDir: folder.path })
  const connections: Nats[] = []
  const connect = async (): Promise<Nats> => {
    const nats = await connectNats({ servers: server.url, name: 'bench' })
    connections.push(nats)
    return nats
  }
  const { connection } = await connect()
  await applyStreams(connection, loadStreams())
  return {
    url: server.url,
    connect,
    stop: async () => {
      await Promise.all(connections.map(nats => nats.close()))
      await server.stop()
      folder.remove()
    },
  }
}
