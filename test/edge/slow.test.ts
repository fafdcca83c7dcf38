import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import type { SlowSocket } from '../harness/slow-socket.ts'

const MiB = 1024 ** 2
const big = 'x'.repeat(16_000)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

const begin = async (t: Parameters<typeof startConfab>[0], limits: ConfabOptions['limits'] = {}) => {
  const confab = await startConfab(t, { limits: { backpressureBytes: 16 * MiB, ...limits } })
  const alice = await confab.connect('alice')
  const metric = async (name: string) => {
    const text = await confab.metrics()
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
  }
  /** Sends until a session is behind. Returns the number of messages. */
  const sendUntilBehind = async (c: string) => {
    let sent = 0
    while ((await metric('confab_edge_behind_total')) === 0) {
      await alice.ok('send', { c, m: `m${sent++}`, text: big })
      if (sent > 3_000) throw new Error('no session was ever behind')
    }
    return sent
  }
  return { ...confab, alice, metric, slow: confab.connectSlow, sendUntilBehind }
}

/** Returns the events of a conversation that a socket received, in order. */
const seqsOf = (socket: SlowSocket, c: string) =>
  socket.frames.filter(frame => frame.t === 'event' && frame.c === c).map(frame => frame.seq as number)

for (const [name, topicFrom] of [
  ['one by one', 1_000],
  ['by a topic', 1],
] as const)
  t.test(
    `a socket that stops reading receives nothing more, and everything when it reads again: ${name}`,
    async t => {
      const { alice, slow, edge, sendUntilBehind, connect } = await begin(t, { topicFrom, slowMs: 60_000 })
      for (const c of ['loud', 'calm']) await alice.ok('create', { c, kind: 'group', members: ['bob'] })
      await alice.ok('create', { c: 'still', kind: 'group', members: ['bob', 'carol'] })
      const carol = await connect('carol')
      const bob = await slow('bob')
      bob.stopReading()
      const first = await sendUntilBehind('loud')
      await alice.ok('send', { c: 'calm', m: 'm1', text: 'hello' })
      const waiting = edge.bufferedBytes()
      for (let n = 0; n < 300; n++) await alice.ok('send', { c: 'loud', m: `more${n}`, text: big })
      await alice.ok('typing', { c: 'still', on: true })
      // The request is answered before the signal has returned from NATS.
      await carol.find(frame => frame.t === 'signal' && frame.c === 'still')
      t.ok(waiting < 16 * MiB, `${waiting} bytes waited`)
      t.equal(edge.bufferedBytes(), waiting, 'nothing more was buffered')
      bob.goOnReading()
      const head = first + 301
      t.match(await bob.until(frame => frame.t === 'synced' && frame.c === 'loud'), { seq: head })
      await bob.until(frame => frame.t === 'synced' && frame.c === 'calm')
      t.same(seqsOf(bob, 'loud'), range(1, head).slice(-seqsOf(bob, 'loud').length))
      t.notOk(
        bob.frames.some(frame => frame.t === 'signal'),
        'a signal of then is of no use now',
      )
      for (const c of ['loud', 'calm', 'still']) await alice.ok('send', { c, m: 'after', text: 'hello' })
      await bob.until(frame => frame.c === 'still' && frame.m === 'after')
      await bob.until(frame => frame.c === 'loud' && frame.m === 'after')
      t.same(seqsOf(bob, 'loud'), range(2, head + 1), 'each once, in order')
      t.same(seqsOf(bob, 'calm'), [2, 3])
      t.same(seqsOf(bob, 'still'), [2])
    },
  )

t.test(
  'a socket that does not read for too long is closed as a slow consumer, and its buffer is dropped',
  async t => {
    const { alice, slow, edge, metric, sendUntilBehind, connect } = await begin(t, { slowMs: 200 })
    await alice.ok('create', { c: 'loud', kind: 'group', members: ['bob', 'carol'] })
    const carol = await connect('carol')
    const bob = await slow('bob')
    const connections = edge.connections()
    bob.stopReading()
    const sent = await sendUntilBehind('loud')
    while (edge.connections() === connections) await sleep(10)
    t.equal(edge.bufferedBytes(), 0)
    t.equal(await metric('confab_edge_disconnections_total{code="4008"}'), 1)
    await carol.event('loud', sent + 1)
    t.same(carol.seqs('loud'), range(2, sent + 1), 'others are not affected')
  },
)

t.test('a user who leaves while behind is notified, and receives nothing later', async t => {
  const { alice, slow, sendUntilBehind } = await begin(t, { slowMs: 60_000 })
  for (const c of ['loud', 'secret']) await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  const bob = await slow('bob')
  bob.stopReading()
  await sendUntilBehind('loud')
  await alice.ok('send', { c: 'secret', m: 'm1', text: 'for bob, too' })
  await alice.ok('remove', { c: 'secret', user: 'bob' })
  await alice.ok('send', { c: 'secret', m: 'm2', text: 'not for bob' })
  bob.goOnReading()
  t.match(await bob.until(frame => frame.t === 'refetch'), { c: 'secret', reason: 'not_member', head: 0 })
  t.same(seqsOf(bob, 'secret'), [])
})
