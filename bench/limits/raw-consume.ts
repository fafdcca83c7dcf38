/**
 * Reads a stream from its start to a sequence with an ordered consumer, without looking at the messages. Arguments:
 * server, stream, last sequence.
 */
import { jetstream } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'

const [servers, stream, last] = process.argv.slice(2)
const nats = await connect({ servers: servers! })
const consumer = await jetstream(nats).consumers.get(stream!)
const messages = await consumer.consume({
  max_messages: 10_000,
  callback: message => {
    if (message.seq === Number(last)) process.exit(0)
  },
})
await messages.closed()
