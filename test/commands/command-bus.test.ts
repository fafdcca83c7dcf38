import t from 'tap'
import { v7 } from 'uuid'
import { at } from './given.ts'
import { type Asked, create, createGroup, send, setUp } from './one-node.ts'

t.test('a command is answered when its event, body and envelope, is in the log', async t => {
  const { log, bus, as } = await setUp({ epoch: 3 })
  t.same(await as('alice', { ...create, members: ['bob'] }), { seq: 1, duplicate: false })
  t.same(await as('bob', send('m1')), { seq: 2, at, duplicate: false })
  await bus.execute(
    { id: '1', t: 'rename', c: 'c1', title: 'Tea', key: 'k1' },
    { from: 'alice', at, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
  )
  const [, sent, renamed] = log.stream('CONV_0')
  t.same(JSON.parse(Buffer.from(sent!.data).toString()), {
    t: 'event',
    c: 'c1',
    seq: 2,
    type: 'message.posted',
    m: 'm1',
    n: 1,
    from: 'bob',
    at,
    text: 'hi',
  })
  t.same(sent!.envelope, {
    type: 'message.posted',
    version: 1,
    seq: 2,
    n: 1,
    actor: 'bob',
    commandId: 'm.c1.bob.m1',
    epoch: 3,
  })
  t.match(renamed!.envelope, {
    n: 1,
    commandId: 'k.c1.alice.k1',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  })
})

t.test('a repeated command is answered as before and appended once', async t => {
  const node = await setUp()
  await createGroup(node)
  const first = await Promise.all([node.as('bob', send('m1')), node.as('bob', send('m1'))])
  t.same(first, [
    { seq: 2, at, duplicate: false },
    { seq: 2, at, duplicate: true },
  ])
  await t.rejects(node.as('bob', send('m1', 'other')), { code: 'CONFLICT', field: '/m' })
  await t.rejects(node.as('alice', send('m1')), { code: 'CONFLICT' })
  const rename = { t: 'rename', c: 'c1', title: 'Tea', key: 'k' } as const
  t.same(await node.as('alice', rename), { seq: 3 })
  await node.as('alice', { t: 'rename', c: 'c1', title: 'Coffee' })
  t.same(await node.as('alice', rename), { seq: 3 })
  t.equal(node.log.stream('CONV_0').length, 4)
})

t.test('beyond the state’s memory, a message is found by a look-up', async t => {
  for (const id of [(i: number) => `m${i}`, () => v7()]) {
    const node = await setUp({ limits: { userQueued: 1024 } })
    await createGroup(node)
    const ids = Array.from({ length: 1000 }, (_, i) => id(i))
    await Promise.all(ids.map(m => node.as('bob', send(m))))
    t.same(await node.as('bob', send(ids[10]!)), { seq: 12, at, duplicate: true })
    await t.rejects(node.as('alice', send(ids[10]!)), { code: 'CONFLICT' })
    t.same(await node.as('bob', { t: 'edit', c: 'c1', m: ids[10]!, text: 'x' }), { seq: 1002 })
    t.same(await node.as('bob', send(ids[10]!)), { seq: 12, at, duplicate: true }, 'also after an edit')
    await t.rejects(node.as('bob', send(ids[10]!, 'x')), { code: 'CONFLICT', field: '/m' })
    await t.rejects(node.as('bob', { t: 'edit', c: 'c1', m: v7(), text: 'x' }), { code: 'NOT_FOUND' })
  }
})

t.test('a key that the state has forgotten but the log’s window has not is answered as before', async t => {
  const node = await setUp()
  await createGroup(node)
  const rename = { t: 'rename', c: 'c1', title: 'Tea', key: 'k' } as const
  t.same(await node.as('alice', rename), { seq: 2 })
  for (let i = 0; i < 200; i++) await node.as('bob', send(`m${i}`))
  await node.as('alice', { t: 'rename', c: 'c1', title: 'Coffee' })
  t.same(await node.as('alice', rename), { seq: 2 })
  t.equal((await node.states.conversation('c1'))?.title, 'Coffee')
})

t.test('a command without a change appends nothing', async t => {
  const node = await setUp()
  await createGroup(node)
  t.same(await node.as('alice', { t: 'invite', c: 'c1', user: 'bob' }), { seq: 1 })
  t.same(await node.as('alice', { t: 'read', c: 'c1', seq: 9 }), { seq: 1 })
  t.same(await node.as('alice', { t: 'read', c: 'c1', seq: 9 }), { seq: 1 })
  t.same(await node.as('alice', { t: 'mute', c: 'c1', on: false }), {})
  t.equal(node.log.stream('CONV_0').length, 1)
  t.equal(node.log.stream('USER_0').length, 1)
})

t.test('blocks of either side stop a direct conversation, also with cold user states', async t => {
  const node = await setUp()
  await node.as('alice', { t: 'create', c: 'd1', kind: 'direct', members: ['bob'] })
  await node.as('alice', { t: 'send', c: 'd1', m: 'm1', text: 'hi' })
  await node.as('bob', { t: 'block', user: 'alice', on: true })
  const cold = await setUp({ log: node.log })
  for (const { as } of [node, cold])
    for (const from of ['alice', 'bob']) {
      await t.rejects(as(from, { t: 'send', c: 'd1', m: v7(), text: 'hi' }), { code: 'FORBIDDEN' })
      await t.rejects(as(from, { t: 'react', c: 'd1', m: 'm1', emoji: 'x', on: true }), { code: 'FORBIDDEN' })
      await t.rejects(
        as(from, { t: 'create', c: 'd2', kind: 'direct', members: [from === 'bob' ? 'alice' : 'bob'] }),
        {
          code: 'FORBIDDEN',
        },
      )
    }
  await node.as('bob', { t: 'block', user: 'alice', on: false })
  t.match(await node.as('alice', { t: 'send', c: 'd1', m: 'm2', text: 'hi' }), { seq: 3 })
})

t.test('cached states are returned at once, others by a promise', async t => {
  const node = await setUp()
  t.equal(await node.states.conversation('c1'), undefined)
  t.equal(node.states.conversation('c1'), undefined)
  await createGroup(node)
  const view = node.states.conversation('c1')
  t.notOk(view instanceof Promise)
  t.match(view, {
    c: 'c1',
    kind: 'group',
    title: undefined,
    head: 1,
    stream: 'CONV_0',
    streamSeq: 1,
    memberCount: 2,
  })
  if (view instanceof Promise || view === undefined) return
  t.equal(view.roleOf('alice'), 'owner')
  t.equal(view.roleOf('eve'), undefined)
  t.same([...view.members()], ['alice', 'bob'])
  await node.as('alice', { t: 'read', c: 'c1', seq: 1 })
  await node.as('alice', { t: 'block', user: 'eve', on: true })
  const user = node.states.user('alice')
  t.notOk(user instanceof Promise)
  if (user instanceof Promise) return
  t.equal(user.readMark('c1'), 1)
  t.equal(user.deliveredMark('c1'), 1)
  t.equal(user.readMark('c2'), 0)
  t.equal(user.isMuted('c1'), false)
  t.equal(user.hasBlocked('eve'), true)
  t.equal(node.states.conversation('c1'), view, 'the same, while it is cached')
})

t.test('a user is not refused because of an outdated state', async t => {
  const one = await setUp()
  const two = await setUp({ log: one.log })
  t.equal(await two.states.conversation('c1'), undefined)
  await createGroup(one)
  t.match(await two.as('bob', send('m1')), { seq: 2 })
  await one.as('alice', { t: 'invite', c: 'c1', user: 'carol' })
  t.match(await two.as('carol', send('m2')), { seq: 4 })
  await one.as('bob', send('m3'))
  t.same(await two.as('carol', { t: 'read', c: 'c1', seq: 5 }), { seq: 5 })
  await one.as('alice', { t: 'rename', c: 'c1', title: 'Tea' })
  await two.as('alice', { t: 'rename', c: 'c1', title: 'Coffee' })
  t.same(await one.as('alice', { t: 'rename', c: 'c1', title: 'Tea' }), { seq: 8 })
  await two.as('alice', { t: 'remove', c: 'c1', user: 'carol' })
  await t.rejects(one.as('carol', send('m4')), { code: 'NOT_FOUND' })
  t.match(await one.states.currentConversation('c1'), { head: 9, memberCount: 2 })
})

t.test('a long queue is appended in batches, in order', async t => {
  const node = await setUp({ limits: { batchFrom: 8, batchMost: 16 } })
  const { append } = node.log
  const sizes: number[] = []
  node.log.append = (aggregate, expected, events) => {
    sizes.push(events.length)
    return append.call(node.log, aggregate, expected, events)
  }
  await createGroup(node)
  const wishes: [string, Asked][] = [
    ['alice', { t: 'invite', c: 'c1', user: 'carol' }],
    ['carol', send('c1')],
    ['alice', { t: 'remove', c: 'c1', user: 'carol' }],
    ['carol', send('c2')],
    ['carol', send('c1')],
    ...Array.from({ length: 40 }, (_, i): [string, Asked] => ['bob', send(`m${i}`)]),
    ['bob', send('m0')],
  ]
  const outcomes = await Promise.allSettled(wishes.map(([from, wish]) => node.as(from, wish)))
  t.match(outcomes[3], { status: 'rejected', reason: { code: 'NOT_FOUND' } })
  t.match(outcomes[4], { value: { seq: 3, duplicate: true } })
  t.match(outcomes.at(-1), { value: { seq: 5, duplicate: true } })
  t.same(
    outcomes.slice(5, -1).map(outcome => outcome.status === 'fulfilled' && outcome.value),
    Array.from({ length: 40 }, (_, i) => ({ seq: i + 5, at, duplicate: false })),
  )
  t.ok(Math.max(...sizes) > 8 && Math.max(...sizes) <= 16, `batches of ${sizes}`)
})

t.test('excess commands are refused while the others are served', async t => {
  const crowded = await setUp({ limits: { queued: 10 } })
  await createGroup(crowded)
  await crowded.as('bob', send('before'))
  const outcomes = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) => crowded.as('bob', send(`m${i}`))),
  )
  const refused = outcomes.filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 19)
  for (const outcome of refused) t.match(outcome, { reason: { code: 'OVERLOADED' } })
  t.match(await crowded.as('bob', send('after')), { seq: 14 })

  const full = await setUp({ limits: { open: 5 } })
  const asked = Array.from({ length: 9 }, (_, i) =>
    full.as('alice', { t: 'create', c: `c${i}`, kind: 'group', members: [] }),
  )
  t.equal(full.bus.load, 1)
  const creations = await Promise.allSettled(asked)
  t.equal(creations.filter(({ status }) => status === 'fulfilled').length, 5)
  await full.bus.drain()
  t.equal(full.bus.load, 0)
})

t.test('a command that is no longer needed is not decided', async t => {
  const node = await setUp()
  await createGroup(node)
  let isWanted = true
  const rename = (title: string) =>
    node.bus.execute(
      { id: '1', t: 'rename', c: 'c1', title },
      { from: 'alice', at, isWanted: () => isWanted },
    )
  t.same(await rename('Tea'), { seq: 2 })
  const behind = [node.as('bob', send('m1')), rename('Coffee'), node.as('bob', send('m2'))]
  isWanted = false
  const [first, second, third] = await Promise.allSettled(behind)
  t.match(first, { value: { seq: 3 } })
  t.match(second, { status: 'rejected', reason: { code: 'UNAVAILABLE' } })
  t.match(third, { value: { seq: 4 } })
  t.equal((await node.states.conversation('c1'))?.title, 'Tea')
})

t.test('drain waits for commands in flight', async t => {
  const node = await setUp()
  await node.bus.drain()
  const answers: unknown[] = []
  const all = Promise.all(
    Array.from({ length: 5 }, (_, i) =>
      node
        .as('alice', { t: 'create', c: `c${i}`, kind: 'group', members: [] })
        .then(answer => answers.push(answer)),
    ),
  )
  await node.bus.drain()
  await all
  t.equal(answers.length, 5)
})

t.test('a cache without room for any user decides the same', async t => {
  const node = await setUp({ limits: { userBytes: 1 } })
  await node.as('alice', { t: 'create', c: 'd1', kind: 'direct', members: ['bob'] })
  await node.as('alice', { t: 'send', c: 'd1', m: 'm1', text: 'hi' })
  await node.as('bob', { t: 'block', user: 'alice', on: true })
  await t.rejects(node.as('alice', { t: 'send', c: 'd1', m: 'm2', text: 'hi' }), { code: 'FORBIDDEN' })
  await node.as('bob', { t: 'block', user: 'alice', on: false })
  await node.as('alice', { t: 'send', c: 'd1', m: 'm3', text: 'hi' })
})
