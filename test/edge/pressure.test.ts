import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { noRates } from '../harness/no-rates.ts'
import { SlowSocket } from '../harness/slow-socket.ts'

const confab = await startConfab(t, {
  limits: {
    backpressureBytes: 2 * 1024 * 1024,
    inFlight: 8,
    slowMs: 4_000,
    // One writer sends as fast as it can.
    ...noRates,
  },
})
const alice = await confab.connect('alice')
const big = 'x'.repeat(16_000)

const slowly = async (user: string, hello: object = {}) => {
  const socket = await SlowSocket.open(confab.edge.port)
  t.teardown(() => socket.close())
  socket.send({ id: 'hello', t: 'hello', token: await confab.token(user), ...hello })
  return socket
}

/** One at a time: this test's limit of requests in flight is low. */
const send = async (c: string, from: number, to: number) => {
  for (let n = from; n <= to; n++) await alice.ok('send', { c, m: `m${n}`, text: `${n} ${big}` })
}

t.test('a socket that does not read is closed, without effect on others', async t => {
  await alice.ok('create', { c: 'loud', kind: 'group', members: ['bob', 'carol'] })
  const carol = await confab.connect('carol')
  const bob = await slowly('bob')
  await bob.until(frame => frame.re === 'hello')
  bob.stopReading()
  const connections = confab.edge.connections()
  let sent = 0
  let most = 0
  while (confab.edge.connections() === connections && sent < 20_000) {
    await send('loud', sent + 1, sent + 20)
    sent += 20
    most = Math.max(most, confab.edge.bufferedBytes())
  }
  t.equal(confab.edge.connections(), connections - 1)
  t.ok(most < 4 * 1024 * 1024, `${most} bytes waited`)
  await carol.event('loud', sent + 1)
  t.same(carol.seqs('loud').length, sent)
  t.match(await confab.edge.bufferedBytes(), 0)
})

t.test('a slow reader receives everything it missed, with few bytes buffered at a time', async t => {
  const count = 600
  await alice.ok('create', { c: 'much', kind: 'group', members: ['bob'] })
  await send('much', 1, count)
  const bob = await slowly('bob', { resume: { much: 0 } })
  await bob.until(frame => frame.re === 'hello')
  bob.stopReading()
  let most = 0
  // It stops when the socket's buffers are full: stable when the buffered bytes no longer grow.
  for (let last = -1, same = 0; same < 20; await sleep(5)) {
    const waiting = confab.edge.bufferedBytes()
    most = Math.max(most, waiting)
    same = waiting === last ? same + 1 : 0
    last = waiting
  }
  t.ok(most < 2 * 1024 * 1024, `${most} bytes waited`)
  await send('much', count + 1, count + 20)
  bob.goOnReading()
  t.match(await bob.until(frame => frame.t === 'synced'), { c: 'much' })
  await bob.until(frame => frame.seq === count + 21)
  const seqs = bob.frames.filter(frame => frame.t === 'event').map(frame => frame.seq)
  t.same(
    seqs,
    Array.from({ length: count + 21 }, (_, n) => n + 1),
  )
})

t.test('too many requests at once are OVERLOADED, and can be repeated', async t => {
  const send = (n: number) => alice.request('send', { c: 'much', m: `again${n}`, text: 'x' })
  const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => send(n)))
  const refused = answers.filter(answer => answer.ok === false)
  t.ok(refused.length > 0 && refused.length <= 32, `${refused.length} refused`)
  for (const answer of refused) t.match(answer.error, { code: 'OVERLOADED', retryable: true })
  for (let n = 0; n < 40; n++) t.match(await send(n), { ok: true, duplicate: answers[n]!.ok === true })
})
