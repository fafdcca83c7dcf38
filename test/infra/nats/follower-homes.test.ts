import t from 'tap'
import { Family, type StoredEvent } from '../../../src/events/index.ts'
import { StreamFollower } from '../../../src/infra/nats/feed/stream-follower.ts'
import type { LogReader } from '../../../src/infra/nats/log/log-reader.ts'
import { asLive } from '../../../src/infra/nats/log/stored-message.ts'

const stream = 'STREAM_0'

const eventAt = (streamSeq: number, epoch = 1): StoredEvent => ({
  stream,
  streamSeq,
  aggregate: { family: Family.conversation, id: 'c' },
  envelope: {
    type: 'message.posted',
    version: 1,
    seq: streamSeq,
    n: streamSeq,
    actor: 'ann',
    commandId: `m${streamSeq}`,
    epoch,
  },
  data: new Uint8Array(),
})

/** A follower of a stream that ends where `state` says, with what it delivers. */
const followed = async (state: { last: number; isMirror: boolean }) => {
  const delivered: number[] = []
  const reader: Pick<LogReader, 'bounds' | 'batch'> = {
    bounds: async () => ({ first: 1, last: state.last, missing: 0, isLed: true, isMirror: state.isMirror }),
    batch: async (_, { seq = 1 }) =>
      Array.from({ length: state.last - seq + 1 }, (_, index) => eventAt(seq + index)),
  }
  const follower = new StreamFollower(stream, {
    reader: reader as LogReader,
    deliver: ({ streamSeq }) => delivered.push(streamSeq),
    isCopy: () => false,
    skip: () => {},
    needsConversation: () => true,
    needsMarkers: () => true,
    digestsFailed: () => {},
    notice: () => {},
    changesHome: true,
  })
  await follower.start()
  return { follower, delivered, accept: (event: StoredEvent) => follower.accept(asLive(event)) }
}

t.test('events of a mirror that was made anew are delivered once', async t => {
  const state = { last: 0, isMirror: true }
  const { follower, delivered, accept } = await followed(state)
  for (const streamSeq of [1, 2, 3]) accept(eventAt(streamSeq))
  state.last = 1
  for (let checks = 0; checks < 3; checks++) await follower.check(true)
  t.equal(follower.position, 3)
  for (const streamSeq of [2, 3, 4]) accept(eventAt(streamSeq))
  t.same(delivered, [1, 2, 3, 4])
})

t.test('a home that lost its last messages is followed from its end', async t => {
  const state = { last: 0, isMirror: false }
  const { follower, delivered, accept } = await followed(state)
  for (const streamSeq of [1, 2, 3]) accept(eventAt(streamSeq, 2))
  t.equal(follower.positionIn(1), 0)
  state.last = 2
  for (let checks = 0; checks < 2; checks++) await follower.check(true)
  t.equal(follower.position, 2)
  accept(eventAt(3, 2))
  t.same(delivered, [1, 2, 3, 3])
})

t.test('the position of an epoch ends before the first event of the next one', async t => {
  const { follower, accept } = await followed({ last: 4, isMirror: false })
  t.equal(follower.positionIn(1), 4)
  accept(eventAt(5))
  accept(eventAt(6, 2))
  accept(eventAt(7, 2))
  t.equal(follower.position, 7)
  t.equal(follower.positionIn(1), 5)
  t.equal(follower.positionIn(2), 7)
})
