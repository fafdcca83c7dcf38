import type { Test } from 'tap'
import {
  CommandServer,
  DigestWriter,
  discoverLog,
  type Nats,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'

/** A process that decides no commands and writes the digests of all streams, like commands nodes. */
export const writeDigests = async (t: Test, nats: Nats): Promise<DigestWriter> => {
  const feed = new NatsLiveFeed(nats, await discoverLog(nats.connection))
  const server = new CommandServer(nats, { bus: { execute: () => Promise.reject(new Error('not here')) } })
  const writer = new DigestWriter(nats, feed, { node: () => server.node })
  await feed.start()
  writer.start()
  await server.start()
  t.teardown(async () => {
    writer.stop()
    await server.stop()
    await feed.stop()
  })
  return writer
}
