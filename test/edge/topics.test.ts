import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const confab = await startConfab(t)
const alice = await confab.connect('alice')
const sockets = 240
const names = Array.from({ length: sockets }, (_, n) => `u${n}`)
await alice.ok('create', { c: 'hall', kind: 'channel', members: names })
const members = new Map<string, RawClient>()
for (let at = 0; at < sockets; at += 40)
  await Promise.all(
    names.slice(at, at + 40).map(async (name, n) => {
      const encoding = n % 3 === 0 ? ({ subprotocol: 'confab.v1.msgpack' } as const) : {}
      members.set(name, await confab.connect(name, encoding))
    }),
  )

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)
const head = async () => (await alice.ok('history', { c: 'hall', limit: 1 })).head as number

t.test('a busy conversation of many sockets: each event once, in order, with joins and leaves', async t => {
  const isOver = { now: false }
  const talk = (async () => {
    for (let n = 0; !isOver.now; n++) await alice.ok('send', { c: 'hall', m: `m${n}`, text: `message ${n}` })
  })()
  const joined = new Map<string, number>()
  const left = new Map<string, number>()
  for (let n = 0; n < 30; n++) {
    const late = await confab.connect(`late${n}`)
    members.set(`late${n}`, late)
    joined.set(`late${n}`, (await late.ok('join', { c: 'hall' })).seq as number)
    left.set(`u${n}`, (await members.get(`u${n}`)!.ok('leave', { c: 'hall' })).seq as number)
    members.get(`u${n + 100}`)!.close()
    members.delete(`u${n + 100}`)
  }
  isOver.now = true
  await talk
  const last = await head()
  t.ok(last > 100, `${last} events`)
  let wrong = 0
  for (const [name, socket] of members) {
    const end = left.get(name) ?? last
    await socket.event('hall', end)
    const seqs = socket.seqs('hall')
    const from = joined.get(name) ?? seqs[0]!
    if (String(seqs) !== String(range(from, end))) wrong++
  }
  t.equal(wrong, 0)
})

t.test('a resume during it', async t => {
  const sending = Promise.all(
    Array.from({ length: 200 }, (_, n) => alice.ok('send', { c: 'hall', m: `r${n}`, text: 'resume' })),
  )
  const from = await head()
  const late = await confab.connect('u50', { resume: { hall: from - 20 } })
  await sending
  const last = await head()
  await late.event('hall', last)
  t.same(late.seqs('hall'), range(from - 19, last))
})

t.test('it may be closed during it', async t => {
  const burst = Array.from({ length: 50 }, (_, n) =>
    alice.request('send', { c: 'hall', m: `z${n}`, text: 'to the end' }).catch(() => undefined),
  )
  await burst[0]
  await confab.edge.drain()
  t.equal(confab.edge.connections(), 0)
  await Promise.all(burst)
})
