import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'
import { type Damage, damages } from '../harness/damage.ts'
import { EventSourceClient } from '../harness/event-source.ts'

const r = { family: 'conv', id: 'r' } as const

/** A system with conversation `r` of 21 events and conversation `fine` of two, both in the views. */
const begin = async (t: Test): Promise<TestConfab> => {
  const confab = await startConfab(t)
  const alice = await confab.connect('alice')
  for (const c of ['r', 'fine']) await alice.ok('create', { c, kind: 'group', members: ['bob'] })
  await alice.ok('send', { c: 'fine', m: 'm0', text: 'hello' })
  for (let n = 0; n < 20; n++) await alice.ok('send', { c: 'r', m: `m${n}`, text: 'hello' })
  const isLevel = async () =>
    (await confab.views.timeline.head('r'))?.seq === 21 &&
    (await confab.views.roster.conversationsOf('bob')).conversations.length === 2
  while (!(await isLevel())) await sleep(10)
  return confab
}

/** Another node on the same log and views, which has loaded no state yet: the system after a restart. */
const restart = (t: Test, { nats, views }: TestConfab): Promise<TestConfab> =>
  startConfab(t, { nats, wrapViews: () => views })

const requests: readonly (readonly [type: string, fields: object])[] = [
  ['send', { m: 'new', text: 'hello' }],
  ['edit', { m: 'm1', text: 'changed' }],
  ['delete', { m: 'm1' }],
  ['invite', { user: 'carol' }],
  ['rename', { title: 'new' }],
  ['leave', {}],
  ['history', {}],
  ['history', { after: 0 }],
  ['history', { before: 3 }],
  ['conversation', {}],
  ['read', { seq: 1 }],
  ['mute', { on: true }],
  ['typing', { on: true }],
  ['create', { kind: 'group', members: [] }],
]

for (const damage of Object.keys(damages) as Damage[])
  t.test(`${damage}: members receive LOG_DAMAGED, strangers learn nothing`, async t => {
    const before = await begin(t)
    await damages[damage](before.connection, r)
    const confab = await restart(t, before)
    const [alice, bob, eve] = await Promise.all(['alice', 'bob', 'eve'].map(user => confab.connect(user)))
    for (const [type, fields] of requests) {
      const { error } = (await alice!.request(type, { c: 'r', ...fields })) as { error?: object }
      t.match(error, { code: 'LOG_DAMAGED', retryable: false, field: '/c' }, type)
      const ofStranger = await eve!.code(type, { c: 'r', ...fields })
      t.equal(ofStranger, type === 'create' ? 'ALREADY_EXISTS' : 'NOT_FOUND', `${type} of a stranger`)
      const ofNothing = await eve!.code(type, { c: 'nothing', ...fields })
      if (type !== 'create') t.equal(ofNothing, ofStranger, `${type} of no conversation`)
    }
    const response = await fetch(`${confab.url}/v1/conversations/r/events`, {
      headers: { authorization: `Bearer ${await confab.token('bob')}` },
    })
    t.equal(response.status, 500)
    t.match(await response.json(), { ok: false, error: { code: 'LOG_DAMAGED' } })
    t.equal(await bob!.code('send', { c: 'fine', m: 'm1', text: 'hello' }), 'ok')
    t.match(await bob!.ok('history', { c: 'fine' }), { events: [{ seq: 1 }, { seq: 2 }, { seq: 3 }] })
    t.notOk(
      confab.logged.some(({ message }) => message === 'request failed' || message === 'command failed'),
      'no defect is logged',
    )
    const last = await confab.log.last(r)
    t.equal(
      last?.envelope.seq,
      { limit: 21, purge: undefined, middle: 21, first: 21, last: 18 }[damage],
      'nothing is appended',
    )
  })

t.test('the log names the conversation and the first missing event', async t => {
  const lines: Record<string, unknown>[] = []
  const before = await begin(t)
  await damages.limit(before.connection, r)
  const { createStates } = await import('../../src/commands/index.ts')
  const states = createStates({
    log: before.log,
    snapshots: { load: async () => undefined, save: async () => {} },
    feed: { ...before.feed, listen: () => {} } as never,
    logger: { error: (fields: object, message: string) => void lines.push({ ...fields, message }) },
  })
  for (let n = 0; n < 3; n++)
    await t.rejects(Promise.resolve(states.conversation('r')), { code: 'LOG_DAMAGED', field: '/c' })
  t.match(lines, [{ family: 'conv', id: 'r', seq: 1, message: 'the log has lost events' }])
  t.match(String(lines[0]?.err), /lacks events 1 to 16 of conversation r/)
  t.equal(lines.length, 1, 'once')
})

for (const damage of ['purge', 'last'] as const)
  t.test(`${damage}: a node that has the state in memory appends nothing after the hole`, async t => {
    const confab = await begin(t)
    const alice = await confab.connect('alice')
    await damages[damage](confab.connection, r)
    for (const type of ['send', 'send'])
      t.equal(await alice.code(type, { c: 'r', m: 'new', text: 'hello' }), 'LOG_DAMAGED')
    const eve = await confab.connect('eve')
    t.equal(await eve.code('send', { c: 'r', m: 'new', text: 'hello' }), 'NOT_FOUND')
    t.equal((await confab.log.last(r))?.envelope.seq, damage === 'last' ? 18 : undefined)
    t.equal(await alice.code('send', { c: 'fine', m: 'm1', text: 'hello' }), 'ok')
  })

for (const damage of ['limit', 'middle'] as const)
  t.test(`${damage}: a resume asks for a refetch of that conversation, and the session stays`, async t => {
    const before = await begin(t)
    await damages[damage](before.connection, r)
    const confab = await restart(t, before)
    const outcome = (c: string) => (frame: Record<string, unknown>) =>
      (frame.t === 'synced' || frame.t === 'refetch') && frame.c === c
    const bob = await confab.connect('bob', { resume: { r: 1, fine: 1 } })
    t.match(await bob.find(outcome('r')), { t: 'refetch', reason: 'too_far', head: 21 })
    t.match(await bob.find(outcome('fine')), { t: 'synced', seq: 2 })
    const eve = await confab.connect('eve', { resume: { r: 1 } })
    t.match(await eve.find(outcome('r')), { t: 'refetch', reason: 'not_member', head: 0 })
    const stream = new EventSourceClient(confab.url, await confab.token('bob'))
    t.teardown(() => stream.stop())
    await stream.until(() => stream.lastEventId !== '')
    await bob.ok('send', { c: 'fine', m: 'm1', text: 'hello' })
    await stream.until(() => stream.events('fine').length === 1)
    t.equal(stream.connections, 1)
  })
