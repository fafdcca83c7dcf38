import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import { noRates } from '../harness/no-rates.ts'
import type { SlowSocket } from '../harness/slow-socket.ts'

const MiB = 1024 ** 2
const big = 'x'.repeat(16_000)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

const begin = async (t: Parameters<typeof startConfab>[0], limits: ConfabOptions['limits'] = {}) => {
  const confab = await startConfab(t, { limits: { ...noRates, ...limits } })
  const alice = await confab.connect('alice')
  /** Sends `count` messages as fast as possible, many in flight. */
  const burst = async (c: string, count: number) => {
    for (let n = 0; n < count; n += 400)
      await Promise.all(
        range(n, Math.min(n + 400, count) - 1).map(m => alice.ok('send', { c, m: `m${m}`, text: big })),
      )
  }
  const closings = async (code: number) => {
    const text = await confab.metrics()
    const found = new RegExp(`^confab_edge_disconnections_total\\{code="${code}"\\} (\\S+)$`, 'm').exec(text)
    return Number(found?.[1] ?? 0)
  }
  return { ...confab, alice, burst, slow: confab.connectSlow, closings }
}

for (const [name, topicFrom] of [
  ['one by one', 1_000],
  ['by a topic', 1],
] as const)
  t.test(`a burst while a socket does not read: the missed events arrive when it reads: ${name}`, async t => {
    const { alice, burst, slow } = await begin(t, { topicFrom, backpressureBytes: 2 * MiB })
    const count = 800
    await alice.ok('create', { c: 'loud', kind: 'group', members: ['bob'] })
    const bob = await slow('bob')
    bob.stopReading()
    await burst('loud', count)
    await sleep(1_000)
    bob.goOnReading()
    const end = await Promise.race([bob.closed, bob.until(frame => frame.t === 'synced')])
    t.match(end, { c: 'loud', seq: count + 1 })
    if (end === undefined) return
    await alice.ok('send', { c: 'loud', m: 'after', text: 'hello' })
    await bob.until(frame => frame.m === 'after')
    const seqs = bob.frames.filter(frame => frame.t === 'event').map(frame => frame.seq)
    t.same(seqs, range(2, count + 2), 'each once, in order')
  })

/** As many at once as may be unanswered, each answer as large as a frame. */
const asked = 500
const askAll = (socket: SlowSocket) => {
  for (const n of range(1, asked)) socket.send({ id: `h${n}`, t: 'history', c: 'long', limit: 4 })
}

t.test('a reading client may have as many large reads in flight as requests', async t => {
  const { alice, burst, slow, edge } = await begin(t)
  await alice.ok('create', { c: 'long', kind: 'group', members: ['bob'] })
  await burst('long', 8)
  const bob = await slow('bob')
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, edge.bufferedBytes())
  }, 1)
  askAll(bob)
  const answered = bob.until(() => bob.frames.filter(frame => frame.events !== undefined).length === asked)
  t.ok(await Promise.race([answered, bob.closed]), 'all of it came')
  clearInterval(watch)
  t.ok(most < MiB, `${most} bytes waited`)
})

t.test('small answers do not wait for unread pages', async t => {
  const { alice, burst, slow, edge } = await begin(t)
  await alice.ok('create', { c: 'long', kind: 'group', members: ['bob'] })
  await burst('long', 8)
  const bob = await slow('bob')
  bob.stopReading()
  askAll(bob)
  while (edge.bufferedBytes() < MiB / 2) await sleep(10)
  bob.send({ id: 'small', t: 'send', c: 'long', m: 'small', text: 'hello' })
  await sleep(300)
  bob.goOnReading()
  t.ok(await Promise.race([bob.until(frame => frame.re === 'small'), bob.closed]))
  const before = bob.frames.filter(frame => frame.events !== undefined).length
  t.ok(before < asked / 2, `after ${before} of ${asked} pages`)
})

t.test('a client that requests much and reads nothing is closed as a slow consumer', async t => {
  const { alice, burst, slow, edge, closings } = await begin(t, { slowMs: 500 })
  await alice.ok('create', { c: 'long', kind: 'group', members: ['bob'] })
  await burst('long', 8)
  const bob = await slow('bob')
  bob.stopReading()
  const connections = edge.connections()
  askAll(bob)
  let most = 0
  while (edge.connections() === connections) {
    most = Math.max(most, edge.bufferedBytes())
    await sleep(5)
  }
  t.ok(most < MiB, `${most} bytes waited`)
  t.equal(await closings(4008), 1)
  t.equal(await closings(1006), 0)
})
