import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import type { RawClient } from '../harness/raw-client.ts'

const text = 'x'.repeat(16_000)
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Sends many large messages, 100 at a time. */
const sendMany = async (alice: RawClient, c: string, to: number, from = 0) => {
  for (let n = from; n < to; n += 100)
    await Promise.all(upTo(100).map(i => alice.ok('send', { c, m: `m${n + i}`, text })))
}

t.test('a client that stops reading what it missed does not delay the resume of others', async t => {
  const confab = await startConfab(t, { limits: { resumes: 1, slowMs: 1_000 } })
  const alice = await confab.connect('alice')
  await alice.ok('create', { c: 'much', kind: 'group', members: ['bob', 'carol'] })
  await sendMany(alice, 'much', 800)
  const bob = await confab.connectSlow('bob', { resume: { much: 0 } })
  bob.stopReading()
  const connections = confab.edge.connections()
  const carol = await confab.connect('carol', { resume: { much: 780 } })
  t.match(await carol.find(frame => frame.t === 'synced'), { c: 'much', seq: 801 })
  t.equal(confab.edge.connections(), connections + 1, 'carol is level, and bob still has time to read')
  while (confab.edge.connections() > connections) await sleep(10)
  t.same(
    carol.seqs('much'),
    Array.from({ length: 21 }, (_, n) => 781 + n),
  )
})

t.test('many slow clients delay neither sockets nor event streams that resume', async t => {
  // The bounds of a node in production; each slow client would hold its slot for 10 s.
  const confab = await startConfab(t, { limits: { resumes: 16, slowMs: 10_000 } })
  const alice = await confab.connect('alice')
  const slow = upTo(16).map(n => `slow-${n}`)
  await alice.ok('create', { c: 'much', kind: 'group', members: [...slow, 'bob'] })
  await sendMany(alice, 'much', 400)
  const first = new EventSourceClient(confab.url, await confab.token('bob'))
  await first.until(() => first.lastEventId !== '')
  await first.stop()
  // Less than the 8 MiB beyond which an event stream has to fetch a conversation again.
  await sendMany(alice, 'much', 800, 400)
  for (const user of slow) (await confab.connectSlow(user, { resume: { much: 0 } })).stopReading()
  for (const user of slow) {
    const stream = connect(confab.edge.port, '127.0.0.1')
    t.teardown(() => stream.destroy())
    stream.on('error', () => {})
    const headers = `authorization: Bearer ${await confab.token(user)}\r\nlast-event-id: ${first.lastEventId}`
    stream.write(`GET /v1/stream HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`)
    await new Promise(resolve => stream.once('data', resolve))
    stream.pause()
  }
  while (confab.edge.connections() < 1 + 2 * slow.length) await sleep(5)
  const started = performance.now()
  const ms = () => Math.round(performance.now() - started)
  const stream = new EventSourceClient(confab.url, await confab.token('bob'), {
    lastEventId: first.lastEventId,
  })
  t.teardown(() => stream.stop())
  const [socketMs, streamMs] = await Promise.all([
    confab
      .connect('bob', { resume: { much: 700 } })
      .then(bob => bob.find(frame => frame.t === 'synced'))
      .then(ms),
    stream.until(() => stream.of('synced').length > 0).then(ms),
  ])
  t.equal(stream.events('much').length, 400)
  t.ok(socketMs < 3_000, `socket: ${socketMs} ms`)
  t.ok(streamMs < 3_000, `event stream: ${streamMs} ms`)
  t.comment(`socket ${socketMs} ms, event stream ${streamMs} ms`)
})

t.test('a user with many sockets does not delay the resume of others', async t => {
  let reads = 0
  const confab = await startConfab(t, {
    limits: { resumes: 4, resumeCacheBytes: 0 },
    wrapViews: views => ({
      ...views,
      timeline: {
        ...views.timeline,
        head: c => views.timeline.head(c),
        findMessage: (c, m) => views.timeline.findMessage(c, m),
        page: async (c, range) => {
          reads++
          await sleep(50)
          return views.timeline.page(c, range)
        },
      },
    }),
  })
  const alice = await confab.connect('alice')
  const names = upTo(100).map(n => `c${n}`)
  for (const c of names) await alice.ok('create', { c, kind: 'group', members: ['mallory'] })
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  const resume = Object.fromEntries(names.map(c => [c, 0]))
  const sockets = await Promise.all(upTo(20).map(() => confab.connect('mallory', { resume })))
  while (reads === 0) await sleep(5)
  const bob = await confab.connect('bob', { resume: { tea: 0 } })
  await bob.find(frame => frame.t === 'synced')
  const finished = sockets.flatMap(({ frames }) => frames.filter(frame => frame.t === 'synced')).length
  // Two rounds of mallory run at a time, and bob waits for none of them.
  t.ok(finished <= 2 * 32, `${finished} of ${20 * names.length} finished first`)
})

t.test('a client with a very large resume has one turn at a time', async t => {
  const two = await startConfab(t, { limits: { resumes: 2 } })
  const alice = await two.connect('alice')
  await alice.ok('create', { c: 'small', kind: 'group', members: ['bob'] })
  const greedy = await two.connect('mallory')
  const asked = 5_000
  for (let n = 0; n < asked; n += 500) {
    const cursors = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`none${n + i}`, 0]))
    await greedy.ok('sync', { cursors })
  }
  const bob = await two.connect('bob', { resume: { small: 0 } })
  await bob.find(frame => frame.t === 'synced')
  const answered = () => greedy.frames.filter(frame => frame.t === 'refetch').length
  t.ok(answered() < asked / 2, `${answered()} of ${asked} came first`)
  await greedy.find(frame => frame.c === `none${asked - 1}`)
  t.equal(answered(), asked, 'it receives everything')
})
