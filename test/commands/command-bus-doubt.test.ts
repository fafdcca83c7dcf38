import t from 'tap'
import { v7 } from 'uuid'
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
import { type Asked, create, createGroup, type Node, send, setUp } from './one-node.ts'

/** Makes the next appends fail in these ways, one after another. */
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

t.test('after a lost answer the event is searched before it is appended again', async t => {
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

t.test('a silent log ends in UNAVAILABLE, and the state does not include the event', async t => {
  const node = await setUp({ limits: { deadlineMs: 50 } })
  await createGroup(node)
  node.log.fault = () => 'lost'
  await t.rejects(node.as('bob', send('m1')), { code: 'UNAVAILABLE' })
  t.match(await node.states.conversation('c1'), { head: 1 })
  node.log.fault = undefined
  t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false })
})

t.test('a log that applies back-pressure is not retried', async t => {
  const node = await setUp()
  await createGroup(node)
  suffer(node.log, 'overloaded')
  await t.rejects(node.as('bob', send('m1')), { code: 'OVERLOADED' })
  t.match(await node.as('bob', send('m1')), { seq: 2, duplicate: false })
})

t.test('a failed look-up is retried, then UNAVAILABLE; nothing is appended on a guess', async t => {
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

t.test('snapshots are created as events arrive, and a new bus starts from them', async t => {
  const snapshots = new MemorySnapshotStore()
  const node = await setUp({ snapshots })
  await createGroup(node)
  for (let i = 0; i < 300; i++) await node.as('bob', send(`m${i}`))
  t.equal((await snapshots.load({ family: 'conv', id: 'c1' }))?.streamSeq, 256)
  const read: number[] = []
  const { log } = node
  const original = log.read.bind(log)
  log.read = (aggregate, after) => {
    if (aggregate.family === 'conv') read.push(after)
    return original(aggregate, after)
  }
  const next = await setUp({ log, snapshots })
  t.match(await next.as('bob', send('next')), { seq: 302 })
  t.same(read, [256])
})

t.test('a log with a changed history, as after a lagging promotion, is read again', async t => {
  const ahead = new MemoryEventLog()
  const behind = new MemoryEventLog()
  const snapshots = new MemorySnapshotStore()
  let log = ahead
  const promoted: EventLog = {
    streamOf: given => log.streamOf(given),
    append: (...given) => log.append(...given),
    last: given => log.last(given),
    read: (...given) => log.read(...given),
  }
  const lookup = createLogLookup(behind)
  const limits = { snapshotEvery: 4 }
  const states = createStates({ log: promoted, snapshots, feed: new MemoryLiveFeed(ahead), limits })
  const bus = createCommandBus({
    log: promoted,
    lookup,
    states,
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
  t.match(await as('bob', 'm3'), { seq: 4, duplicate: false }, 'a lost message is sent again')
  t.match(await as('bob', 'm1'), { seq: 2, duplicate: true })
})

/** Queues so many commands at once that they are decided as one batch. */
const batch = { batchFrom: 4 }

t.test('an error of one command in a batch fails that command alone', async t => {
  const settle = async (limits: object, prepare: (node: Node) => void, wishes: [string, Asked][]) => {
    const node = await setUp({ limits: { ...batch, ...limits } })
    await createGroup(node)
    await node.as('alice', { t: 'create', c: 'ch', kind: 'channel', members: [] })
    prepare(node)
    // The first command is appended directly, the others wait behind it and form a batch.
    const outcomes = await Promise.allSettled(wishes.map(([from, wish]) => node.as(from, wish)))
    return outcomes.map(outcome =>
      outcome.status === 'rejected' ? outcome.reason.code : (outcome.value as { seq: number }).seq,
    )
  }
  const sends = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6'].map((m): [string, Asked] => ['bob', send(m)])

  const oversized = (node: Node): void => {
    const { append } = node.log
    node.log.append = (aggregate, expected, events) =>
      events.some(({ data }) => Buffer.from(data).includes('m3'))
        ? Promise.reject(new ConfabError('TOO_LARGE'))
        : append.call(node.log, aggregate, expected, events)
  }
  t.same(await settle({}, oversized, sends), [2, 3, 'TOO_LARGE', 4, 5, 6], 'the log refuses one event')

  const broken = (node: Node): void => {
    const { append } = node.log
    node.log.append = (aggregate, expected, events) =>
      events.some(({ data }) => Buffer.from(data).includes('m3'))
        ? Promise.reject(new TypeError('a defect'))
        : append.call(node.log, aggregate, expected, events)
  }
  t.same(await settle({}, broken, sends), [2, 3, 'INTERNAL', 4, 5, 6], 'the append of one event has a defect')
})

t.test('facts that one command lacks fail that command alone', async t => {
  for (const [error, code] of [
    [new ConfabError('UNAVAILABLE'), 'UNAVAILABLE'],
    [new TypeError('a defect'), 'INTERNAL'],
  ] as const) {
    const log = new MemoryEventLog()
    const read = log.read.bind(log)
    log.read = async function* (aggregate, after) {
      if (aggregate.id === 'eve') throw error
      yield* read(aggregate, after)
    }
    const node = await setUp({ log, limits: { ...batch, deadlineMs: 100 } })
    await node.as('alice', { t: 'create', c: 'c1', kind: 'channel', members: ['bob', 'carol'] })
    const wishes: [string, Asked][] = [
      ['bob', send('m1')],
      ['bob', send('m2')],
      ['eve', { t: 'join', c: 'c1' }],
      ['carol', send('m3')],
      ['eve', send('m4')],
      ['bob', send('m5')],
      ['carol', send('m6')],
    ]
    const outcomes = await Promise.allSettled(wishes.map(([from, wish]) => node.as(from, wish)))
    t.same(
      outcomes.map(outcome =>
        outcome.status === 'rejected' ? outcome.reason.code : (outcome.value as { seq: number }).seq,
      ),
      [2, 3, code, 4, code, 5, 6],
    )
  }
})

t.test(
  'message ids from the future cause no look-ups for other messages, in old snapshots neither',
  async t => {
    const log = new MemoryEventLog()
    const exact = createLogLookup(log)
    let lookups = 0
    const lookup: MessageLookup = {
      find: (...given) => {
        lookups++
        return exact.find(...given)
      },
    }
    const snapshots = new MemorySnapshotStore()
    const node = await setUp({ log, lookup, snapshots, limits: { queued: 100_000, userQueued: 100_000 } })
    const start = Date.parse(at)
    const idAt = (msecs: number): string => v7({ msecs })
    const sendAll = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 200)
        await Promise.all(Array.from({ length: 200 }, () => node.as('bob', send(idAt(start - 1_000)))))
    }
    await createGroup(node)
    const early = await snapshots.load({ family: 'conv', id: 'c1' })
    t.equal(early, undefined)
    const poison = idAt(Date.UTC(2100, 0, 1))
    await node.as('bob', send(poison))
    await sendAll(24_000)
    lookups = 0
    t.match(await node.as('alice', send(idAt(start))), { duplicate: false })
    t.equal(lookups, 0, 'a new message needs no look-up')
    t.match(
      await node.as('bob', send(poison)),
      { seq: 2, duplicate: true },
      'the id from the future is still known',
    )

    // The snapshot as version 2 wrote it: the time of the id was believed.
    const snapshot = (await snapshots.load({ family: 'conv', id: 'c1' }))!
    const serial = JSON.parse(Buffer.from(snapshot.data).toString())
    const { postdated: _postdated, ...seen } = serial.seen
    const old = { ...serial, seen: { ...seen, dropped: Date.UTC(2100, 0, 1) } }
    await snapshots.save(
      { family: 'conv', id: 'c1' },
      { ...snapshot, version: 2, data: Buffer.from(JSON.stringify(old)) },
    )
    const upgraded = await setUp({ log, lookup, snapshots })
    lookups = 0
    t.match(await upgraded.as('alice', send(idAt(start + 1))), { duplicate: false })
    t.equal(lookups, 0, 'the state was rebuilt from the log')
    t.match(await upgraded.as('bob', send(poison)), { seq: 2, duplicate: true })
  },
)
