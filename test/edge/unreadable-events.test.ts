import t from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import type { RawClient } from '../harness/raw-client.ts'

interface Foreign {
  readonly type: string
  readonly version?: number
  /** Default: the fields that every event has. */
  readonly body?: string
}

/** Appends an event to the log as another build, or another program, may write it. Returns its seq. */
const append = async ({ log }: TestConfab, c: string, { type, version = 1, body }: Foreign) => {
  const aggregate = { family: 'conv', id: c } as const
  const last = await log.last(aggregate)
  const seq = (last?.envelope.seq ?? 0) + 1
  const fields = { t: 'event', c, seq, type, from: 'alice', at: new Date().toISOString(), extra: true }
  const envelope = { type, version, seq, n: 1, actor: 'alice', commandId: `${c}-${seq}`, epoch: 1 }
  const data = Buffer.from(body ?? JSON.stringify(fields))
  await log.append(aggregate, last?.streamSeq ?? 0, [{ envelope, data }])
  return seq
}

const unknownType: Foreign = { type: 'message.pinned' }
const newerVersion: Foreign = { type: 'message.posted', version: 99 }
const unreadable: Foreign = { type: 'message.posted', body: 'not JSON' }

const isOutcome = (c: string) => (frame: Record<string, unknown>) =>
  (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c

const begin = async (t: Parameters<typeof startConfab>[0], topicFrom = 1_000) => {
  const confab = await startConfab(t, { limits: { topicFrom } })
  const alice = await confab.connect('alice')
  for (const c of ['odd', 'fine']) await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  return { confab, alice }
}

for (const [name, topicFrom] of [
  ['one by one', 1_000],
  ['by a topic', 1],
] as const)
  t.test(`events of a newer build arrive live, and unreadable ones stop no others: ${name}`, async t => {
    const { confab, alice } = await begin(t, topicFrom)
    const stream = new EventSourceClient(confab.url, await confab.token('bob'))
    t.teardown(() => stream.stop())
    await stream.until(() => stream.lastEventId !== '')
    const json = await confab.connect('bob')
    const msgpack = await confab.connect('bob', { subprotocol: 'confab.v1.msgpack' })
    const newer = [await append(confab, 'odd', unknownType), await append(confab, 'odd', newerVersion)]
    const broken = [
      await append(confab, 'odd', unreadable),
      await append(confab, 'odd', { type: 'message.pinned', body: '{"t":"event"}' }),
      await append(confab, 'odd', { type: 'member.left', body: '[]' }),
      await append(confab, 'odd', { type: 'message.posted', version: 99, body: '\xff' }),
    ]
    const last = await append(confab, 'odd', unknownType)
    await alice.ok('send', { c: 'fine', m: 'm1', text: 'hello' })
    for (const client of [json, msgpack]) {
      await client.event('fine', 2)
      t.same(client.seqs('odd'), [...newer, last])
      await client.ok('ping')
      t.notOk(client.seqs('odd').some(seq => broken.includes(seq)))
    }
    await stream.until(() => stream.events('fine').length === 1)
    t.same(
      stream.events('odd'),
      json.frames.filter(frame => frame.t === 'event' && frame.c === 'odd'),
      'as they are stored',
    )
    t.match(stream.events('odd')[0], { type: 'message.pinned', extra: true })
    t.equal(stream.connections, 1)
  })

t.test('a resume across an unreadable event: refetch for that conversation only', async t => {
  const { confab, alice } = await begin(t)
  await append(confab, 'odd', unreadable)
  const head = await append(confab, 'odd', unknownType)
  await alice.ok('send', { c: 'fine', m: 'm1', text: 'hello' })
  const check = async (client: RawClient) => {
    t.match(await client.find(isOutcome('odd')), { t: 'refetch', reason: 'too_far', head })
    t.match(await client.find(isOutcome('fine')), { t: 'synced', seq: 2 })
    t.same(client.seqs('fine'), [2])
    t.same(client.seqs('odd'), [])
    await client.ok('ping')
  }
  const bob = await confab.connect('bob', { resume: { odd: 1, fine: 1 } })
  await check(bob)
  const again = bob.next(isOutcome('odd'))
  await bob.ok('sync', { cursors: { odd: head } })
  t.match(await again, { t: 'refetch', reason: 'too_far', head }, 'whenever the client asks')
  await check(await confab.connect('bob', { subprotocol: 'confab.v1.msgpack', resume: { odd: 1, fine: 1 } }))
  const next = await append(confab, 'odd', unknownType)
  t.match(await bob.event('odd', next), { type: 'message.pinned' }, 'a member still receives live events')
  const stranger = await confab.connect('stranger', { resume: { odd: 1 } })
  t.same(await stranger.find(isOutcome('odd')), { t: 'refetch', c: 'odd', reason: 'not_member', head: 0 })
  await append(confab, 'odd', unknownType)
  await bob.event('odd', next + 1)
  await stranger.settled()
  t.same(stranger.seqs('odd'), [])
})

t.test('an event stream across an unreadable event: refetch for that conversation only', async t => {
  const { confab, alice } = await begin(t)
  const first = new EventSourceClient(confab.url, await confab.token('bob'))
  await first.until(() => first.lastEventId !== '')
  await first.stop()
  await append(confab, 'odd', unreadable)
  const head = await append(confab, 'odd', unknownType)
  await alice.ok('send', { c: 'fine', m: 'm1', text: 'hello' })
  const stream = new EventSourceClient(confab.url, await confab.token('bob'), {
    lastEventId: first.lastEventId,
  })
  t.teardown(() => stream.stop())
  await stream.until(() => stream.of('synced').length > 0)
  t.same(stream.of('refetch'), [{ t: 'refetch', c: 'odd', head, reason: 'too_far' }])
  t.same(stream.of('synced'), [{ t: 'synced', c: 'fine', seq: 2 }])
  t.same(stream.events('odd'), [])
  await append(confab, 'odd', unknownType)
  await stream.until(() => stream.events('odd').length > 0)
  t.equal(stream.connections, 1)
})
