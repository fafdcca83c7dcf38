import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

const sockets = 500
const conversations = Array.from({ length: 50 }, (_, n) => `room${n}`)
const each = 5
const missed = 4

const confab = await startConfab(t)
const alice = await confab.connect('alice')
const users = Array.from({ length: sockets }, (_, n) => `user${n}`)
const roomsOf = (n: number) =>
  Array.from({ length: each }, (_, k) => conversations[(n + k * 7) % conversations.length]!)
const heads = new Map<string, number>()
let messages = 0

const send = async (c: string) => {
  const { seq } = await alice.ok('send', { c, m: `m${messages++}`, text: 'hello' })
  heads.set(c, Math.max(heads.get(c) ?? 0, seq as number))
}

const metric = async (name: string) => {
  const text = await confab.metrics()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

/** The events that each client has applied, over all its sockets. */
const applied = users.map(() => new Map<string, number>())
const apply = (n: number, client: RawClient) => {
  const cursors = applied[n]!
  for (const frame of client.frames) {
    if (frame.t === 'refetch') throw new Error(`${users[n]}: ${JSON.stringify(frame)}`)
    if (frame.t !== 'event') continue
    const c = frame.c as string
    const last = cursors.get(c) ?? 0
    if (frame.seq !== last + 1) throw new Error(`${users[n]}: ${c} ${frame.seq} after ${last}`)
    cursors.set(c, last + 1)
  }
}

const connectAll = (resumes: boolean) =>
  Promise.all(
    users.map((user, n) =>
      confab.connect(user, {
        ...(n % 3 === 0 ? { subprotocol: 'confab.v1.msgpack' } : {}),
        ...(resumes ? { resume: Object.fromEntries(applied[n]!) } : {}),
        patienceMs: 40_000,
      }),
    ),
  )

const allHave = async (clients: readonly RawClient[]) => {
  for (const [n, client] of clients.entries())
    for (const c of roomsOf(n)) {
      const head = heads.get(c)!
      // A socket receives the events, or `synced` for those known before.
      if (applied[n]!.get(c) !== head) await client.event(c, head)
    }
}

t.test('all sockets reconnect at once and catch up, without loss or duplicates, with few reads', async t => {
  const first = await connectAll(false)
  await Promise.all(
    conversations.map(async c => {
      const members = users.filter((_, n) => roomsOf(n).includes(c))
      await alice.ok('create', { c, kind: 'group', members })
      heads.set(c, 1)
    }),
  )
  await Promise.all(conversations.map(send))
  await allHave(first)
  for (const client of first) client.close()
  while (confab.edge.connections() > 1) await sleep(5)
  for (const [n, client] of first.entries()) apply(n, client)

  for (let n = 0; n < missed; n++) await Promise.all(conversations.map(send))
  const before = {
    reads: await metric('confab_edge_resume_reads_total'),
    shared: await metric('confab_edge_resume_shared_total'),
  }
  let isOver = false
  const traffic = (async () => {
    for (let n = 0; !isOver; n++) await send(conversations[n % conversations.length]!)
  })()
  const second = await connectAll(true)
  for (const [n, client] of second.entries())
    for (const c of roomsOf(n)) await client.find(frame => frame.t === 'synced' && frame.c === c)
  isOver = true
  await traffic
  await allHave(second)
  const reads = (await metric('confab_edge_resume_reads_total')) - before.reads
  const shared = (await metric('confab_edge_resume_shared_total')) - before.shared
  for (const [n, client] of second.entries()) {
    apply(n, client)
    for (const c of roomsOf(n))
      if (applied[n]!.get(c) !== heads.get(c)) t.fail(`${users[n]} lacks some of ${c}`)
  }
  t.comment(`${reads} reads, ${shared} without one`)
  t.ok(shared >= (sockets * each) / 2, `${shared} times without a read`)
  t.ok(reads <= conversations.length * 4, `${reads} reads`)
})
