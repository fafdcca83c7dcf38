/**
 * A process that follows everything and writes digests, as commands nodes do. Started with the server's URL; reports
 * when it is ready.
 */
import {
  CommandServer,
  connectNats,
  DigestWriter,
  discoverLog,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'

const nats = await connectNats({ servers: process.argv[2] ?? '', name: 'digester' })
const feed = new NatsLiveFeed(nats, await discoverLog(nats.connection))
const server = new CommandServer(nats, { bus: { execute: () => Promise.reject(new Error('none here')) } })
const digests = new DigestWriter(nats, feed, { node: () => server.node })
await feed.start()
await server.start()
digests.start()
process.on('message', () => process.send?.({ cpu: process.cpuUsage() }))
