import t from 'tap'
import {
  createCommandBus,
  createLogLookup,
  createStates,
  type EventLog,
  type MessageLookup,
} from '../../src/commands/index.ts'
import { ConfabError } from '../../src/events/index.ts'
import {
  type AppendFault,
  MemoryEventLog,
  MemoryLiveFeed,
  MemorySnapshotStore,
} from '../../src/infra/memory/index.ts'
import { at } from './given.ts'
import { create, createGroup, send, setUp } from './one-node.ts'

/** Lets the next appends suffer these, one after another. */
const suffer = (log: MemoryEventLog, ...faults: AppendFault[]): void => {
  log.fault = () => faults.shift()
}

t.test('conflicts are decided again, a few times', async t => {
  const node = await setUp()
  await createGroup(node)
  suffer(node.log, 'conflict', 'conflict', 'conflict')
  t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false })
  suffer(node.log, ...Array<AppendFault>(9).fill('conflict'))
  await t.rejects(node.as('bob', send('m2')), { code: 'OVERLOADED' })
  t.match(await node.as('bob', send('m2')), { seq: 3, duplicate: false })
})

t.test('an answer that is lost: the event is looked for before it is appended again', async t => {
  for (const fault of ['lost', 'answer-lost', 'later'] as const) {
    const node = await setUp()
    await createGroup(node)
    suffer(node.log, fault)
    t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false }, fault)
    suffer(node.log, fault)
    t.same(await node.as('alice', { t: 'rename', c: 'c1', title: 'Tea' }), { seq: 3 }, fault)
    suffer(node.log, fault)
    t.same(await node.as('alice', { t: 'read', c: 'c1', seq: 3 }), { seq: 3 }, fault)
    t.equal(node.log.stream('CONV_0').length, 3)
    t.equal(node.log.stream('USER_0').length, 1)
  }
})

t.test('a log that stays silent makes it UNAVAILABLE, and the state is not what was hoped for', async t => {
  const node = await setUp({ limits: { deadlineMs: 50 } })
  await createGroup(node)
  node.log.fault = () => 'lost'
  await t.rejects(node.as('bob', send('m1')), { code: 'UNAVAILABLE' })
  t.match(await node.states.conversation('c1'), { head: 1 })
  node.log.fault = undefined
  t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false })
})

t.test('a log that pushes back is not pushed again', async t => {
  const node = await setUp()
  await createGroup(node)
  suffer(node.log, 'overloaded')
  await t.rejects(node.as('bob', send('m1')), { code: 'OVERLOADED' })
  t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false })
})

t.test('a lookup that fails is tried again, then UNAVAILABLE; nothing is appended on a guess', async t => {
  let fails = true
  const log = new MemoryEventLog()
  const exact = createLogLookup(log)
  const lookup: MessageLookup = {
    find: async (c, m, upTo) => {
      if (fails) throw new ConfabError('UNAVAILABLE')
      return exact.find(c, m, upTo)
    },
  }
  const node = await setUp({ log, lookup, limits: { deadlineMs: 50 } })
  await createGroup(node)
  for (let i = 0; i < 200; i++) await node.as('bob', send(`m${i}`)).catch(() => {})
  const { length } = log.stream('CONV_0')
  await t.rejects(node.as('bob', send('m1')), { code: 'UNAVAILABLE' })
  t.equal(log.stream('CONV_0').length, length)
  fails = false
  t.match(await node.as('bob', send('m1')), { seq: 3, duplicate: true })
})

t.test('snapshots are made as events come in, and a new bus starts from them', async t => {
  const snapshots = new MemorySnapshotStore()
  const node = await setUp({ snapshots })
  await createGroup(node)
  for (let i = 0; i < 300; i++) await node.as('bob', send(`m${i}`))
  t.equal((await snapshots.load({ family: 'conv', id: 'c1' }))?.streamSeq, 256)
  const read: number[] = []
  const { log } = node
  const original = log.read.bind(log)
  log.read = (aggregate, after) => {
    read.push(after)
    return original(aggregate, after)
  }
  const next = await setUp({ log, snapshots })
  t.match(await next.as('bob', send('next')), { seq: 302 })
  t.same(read, [256])
})

t.test('a log whose history has changed, as after a promotion that lagged, is read anew', async t => {
  const ahead = new MemoryEventLog()
  const behind = new MemoryEventLog()
  const snapshots = new MemorySnapshotStore()
  let log = ahead
  const lookup = createLogLookup(behind)
  const limits = { snapshotEvery: 4 }
  const changing: EventLog = {
    streamOf: given => log.streamOf(given),
    append: (...given) => log.append(...given),
    last: given => log.last(given),
    read: (...given) => log.read(...given),
  }
  const states = createStates({ log: changing, snapshots, feed: new MemoryLiveFeed(ahead), limits })
  const bus = createCommandBus({
    log: changing,
    lookup,
    states,
    epoch: 1,
    limits,
  })
  const as = (from: string, m: string) => bus.execute({ id: '1', ...send(m) }, { from, at })
  await bus.execute({ id: '1', ...create, members: ['bob'] }, { from: 'alice', at })
  for (let i = 1; i < 20; i++) await as('bob', `m${i}`)
  const snapshot = await snapshots.load({ family: 'conv', id: 'c1' })
  t.ok(snapshot !== undefined && snapshot.streamSeq > 4, 'one that is of the history that is gone')
  let expected = 0
  for (const { aggregate, envelope, data } of ahead.stream('CONV_0').slice(0, 2))
    expected = (await behind.append(aggregate, expected, [{ envelope, data }])).position.streamSeq
  log = behind
  t.match(await as('bob', 'new'), { seq: 3 })
  t.match(await as('bob', 'm3'), { seq: 4, duplicate: false }, 'what was lost is sent again')
  t.match(await as('bob', 'm1'), { seq: 2, duplicate: true })
})
