/**
 * A commands node as a process of its own, which a test can stop: `<file of the topology> <region> <address of the
 * region>`. Appends events to conversations, and writes the time of each acknowledgement to stdout, ms since 1970.
 */
import { Family } from '../../src/events/index.ts'
import { connectNats } from '../../src/infra/nats/client/connection.ts'
import { loadStreams } from '../../src/infra/nats/log/streams.ts'
import { loadTopology } from '../../src/infra/nats/regions/index.ts'
import { inboxPrefixOf } from './nats-users.ts'
import { NaiveClient, openWriter } from './region-writer.ts'

const [topologyFile, region = '', url = ''] = process.argv.slice(2)
const nats = await connectNats({ servers: url, name: 'writer', inboxPrefix: inboxPrefixOf('commands') })
const topology = loadTopology(loadStreams(), topologyFile)
const writer = await openWriter(
  { teardown: () => {} },
  { topology, region: () => ({ connect: async () => nats }) },
  region,
)
const clients = Array.from(
  { length: 10 },
  (_, n) => new NaiveClient({ family: Family.conversation, id: `p${n}` }, [writer], 2),
)
for (;;) {
  for (const { acked } of clients)
    for (const { at } of acked.splice(0)) process.stdout.write(`${performance.timeOrigin + at}\n`)
  await new Promise(done => setTimeout(done, 5))
}
