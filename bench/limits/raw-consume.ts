/**
 * Reads a stream from its start to a sequence with an ordered consumer, without looking at the messages. Arguments:
 * server, stream, last sequence.
 */
import { jetstream } from '@nats-io/jetstream'
import { connectNats } from '../../src/infra/nats/index.ts'

const [servers, stream, last] = process.argv.slice(2)
const { connection: nats } = await connectNats({ servers: servers! })
const consumer = await jetstream(nats).consumers.get(stream!)
const messages = await consumer.consume({
  max_messages: 10_000,
  callback: message => {
    if (message.seq === Number(last)) process.exit(0)
  },
})
await messages.closed()
