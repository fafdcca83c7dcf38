import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createCommandBus, createLogLookup, createStates } from '../../src/commands/index.ts'
import { type ConversationRequest, subjectOf } from '../../src/events/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  NatsLiveFeed,
} from '../../src/infra/nats/index.ts'
import { startNats, type TestNats } from '../harness/nats.ts'
import { at } from './given.ts'
import type { Task, TaskResult } from './newer-build.ts'
import type { Asked } from './one-node.ts'

/** A process of the newer build beside this one. */
const startNewerBuild = async (t: Test, nats: TestNats) => {
  const child = fork(join(import.meta.dirname, 'newer-build.ts'), [nats.url])
  t.teardown(() => child.disconnect())
  await once(child, 'message')
  const run = async (task: Task): Promise<TaskResult> => {
    const result = once(child, 'message')
    child.send(task)
    return (await result)[0] as TaskResult
  }
  return {
    as: (from: string, request: Asked) =>
      run({ from, request: { id: '1', ...request } as ConversationRequest }),
    append: (c: string, type: string) => run({ append: { family: 'conv', id: c }, type }),
  }
}

/** This process: the older build, with what it logs. */
const startOlderBuild = async (t: Test, nats: TestNats) => {
  const connected = await nats.connect()
  const layout = await discoverLog(connected.connection)
  const log = new JetStreamEventLog(connected, layout)
  const feed = new NatsLiveFeed(connected, layout)
  const snapshots = new JetStreamSnapshots(connected)
  const lines: object[] = []
  const logger = { error: (fields: object, message: string) => lines.push({ ...fields, message }) }
  const states = createStates({ log, snapshots, feed, logger, limits: { snapshotEvery: 4 } })
  const bus = createCommandBus({
    log,
    lookup: createLogLookup(log),
    states,
    limits: { snapshotEvery: 4 },
  })
  await feed.start()
  t.teardown(async () => {
    await feed.stop()
    log.close()
  })
  const as = (from: string, request: Asked) =>
    bus.execute({ id: '1', ...request } as ConversationRequest, { from, at })
  return { as, states, snapshots, lines, connection: connected.connection }
}

const createIn = (c: string) => ({ t: 'create' as const, c, kind: 'group' as const, members: ['bob'] })
const sendIn = (c: string, m: string) => ({ t: 'send', c, m, text: 'hi' }) as const

t.test('a newer build writes a newer version: the older one refuses that conversation only', async t => {
  const nats = await startNats(t)
  const newer = await startNewerBuild(t, nats)
  const older = await startOlderBuild(t, nats)
  for (const c of ['c1', 'c2']) await older.as('alice', createIn(c))
  t.match(await newer.as('alice', { t: 'rename', c: 'c1', title: 'Tea' }), { answer: { seq: 2 } })

  const started = performance.now()
  await t.rejects(older.as('bob', sendIn('c1', 'm1')), { code: 'UNREADABLE_EVENT' })
  await t.rejects(older.as('bob', sendIn('c1', 'm1')), { code: 'UNREADABLE_EVENT' })
  await t.rejects(older.states.currentConversation('c1'), { code: 'UNREADABLE_EVENT' })
  t.ok(performance.now() - started < 2_000, 'it is answered at once, without retries')
  t.match(older.lines, [
    {
      message: 'event cannot be read',
      stream: 'CONV_0',
      streamSeq: 3,
      type: 'conversation.renamed',
      version: 2,
      reason: 'newer-version',
    },
  ])
  t.equal(older.lines.length, 1, 'once, however many commands meet it')

  t.match(await older.as('bob', sendIn('c2', 'm1')), { seq: 2 }, 'other conversations are served')
  t.match(await newer.as('bob', sendIn('c1', 'm1')), { answer: { seq: 3 } }, 'the newer build serves it')
  const upgraded = await startNewerBuild(t, nats)
  t.match(await upgraded.as('bob', sendIn('c1', 'm1')), { answer: { seq: 3, duplicate: true } })
  t.match(
    await upgraded.as('bob', sendIn('c1', 'm2')),
    { answer: { seq: 4 } },
    'once upgraded, so does this one',
  )
})

t.test('a newer build writes an unknown type: the older one skips it by its seq', async t => {
  const nats = await startNats(t)
  const newer = await startNewerBuild(t, nats)
  const older = await startOlderBuild(t, nats)
  await older.as('alice', createIn('c1'))
  t.match(await newer.append('c1', 'poll.opened'), { answer: { seq: 2 } })
  t.match(await older.as('bob', sendIn('c1', 'm1')), { seq: 3, duplicate: false })
  t.match(await newer.append('c1', 'poll.closed'), { answer: { seq: 4 } })
  t.match(await newer.as('bob', sendIn('c1', 'm2')), { answer: { seq: 5 } })
  for (let i = 3; i < 20; i++) t.match(await older.as('bob', sendIn('c1', `m${i}`)), { seq: i + 3 })
  t.match(await older.states.currentConversation('c1'), { head: 22, memberCount: 2 })
  t.equal(await older.snapshots.load({ family: 'conv', id: 'c1' }), undefined, 'no snapshot hides the events')
  t.same(older.lines, [])
})

t.test('a message of another program on the subject of a conversation does not block it', async t => {
  const nats = await startNats(t)
  const older = await startOlderBuild(t, nats)
  await older.as('alice', createIn('c1'))
  for (const m of ['m1', 'm2']) {
    older.connection.publish(subjectOf({ family: 'conv', id: 'c1' }), 'not from confab')
    await older.connection.flush()
    t.match(await older.as('bob', sendIn('c1', m)), { seq: m === 'm1' ? 2 : 3 })
  }
  const cold = await startOlderBuild(t, nats)
  older.connection.publish(subjectOf({ family: 'conv', id: 'c1' }), 'not from confab')
  await older.connection.flush()
  t.match(await cold.as('bob', sendIn('c1', 'm3')), { seq: 4 })
})
