import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { CommandBus } from '../../../src/commands/index.ts'
import { ReplyInbox } from '../../../src/infra/nats/client/connection.ts'
import {
  CommandSubject,
  commandSubject,
  encodeAnnouncement,
  encodeCommand,
} from '../../../src/infra/nats/commands/command-wire.ts'
import { CommandsNodes } from '../../../src/infra/nats/commands/commands-nodes.ts'
import {
  answerProjectionStatus,
  answerRetries,
  askProjectionStatus,
  askRetry,
  CommandServer,
  connectNats,
  type Nats,
  openNatsPlans,
  openPresenceBucket,
} from '../../../src/infra/nats/index.ts'
import { firstPlan, type RetryOutcome, setPaused } from '../../../src/projections/index.ts'
import { startNats, type TestNats } from '../../harness/nats.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

/** A connection that keeps what is reported of its listeners. */
const connected = async (t: { teardown(fn: () => unknown): void }, nats: TestNats, url = nats.url) => {
  const failed: string[] = []
  const connection = await connectNats({
    servers: url,
    onListenerError: (error, listener) => failed.push(`${listener}: ${(error as Error).message}`),
  })
  t.teardown(() => connection.close())
  return { nats: connection, failed }
}

class CodedError extends Error {
  readonly code = 'E_TEST'
}

const fail = (): never => {
  throw new CodedError('of the listener')
}

const answers = async (nats: Nats): Promise<boolean> => {
  await nats.connection.flush()
  return nats.connected()
}

t.test('a listener of connection changes that throws ends neither the others nor the watch', async t => {
  const server = await startNats(t)
  const proxy = await server.proxy()
  const { nats, failed } = await connected(t, server, proxy.url)
  const changes: boolean[] = []
  nats.onChange(fail)
  nats.onChange(isConnected => changes.push(isConnected))
  for (const round of [1, 2]) {
    proxy.block(true)
    await until(() => changes.length === 2 * round - 1)
    t.equal(nats.connected(), false)
    proxy.block(false)
    await until(() => changes.length === 2 * round)
  }
  t.same(changes, [false, true, false, true])
  t.same(new Set(failed), new Set(['connection changes: of the listener']))
  t.equal(await answers(nats), true)
})

t.test('without a receiver of errors, a notice names the code', async t => {
  const server = await startNats(t)
  const notices: string[] = []
  let throwsAt = 1
  const nats = await connectNats({
    servers: server.url,
    onNotice: notice => {
      notices.push(notice)
      if (notices.length === throwsAt) fail()
    },
  })
  t.teardown(() => nats.close())
  nats.onChange(fail)
  throwsAt = 2
  await server.kill9()
  await until(() => !nats.connected())
  await server.restart()
  await until(() => nats.connected())
  t.match(notices[0], /listener of connection changes failed \(E_TEST\).*of the listener/)
  t.equal(notices[1], 'nats: disconnect')
  await until(() => notices.includes('nats: reconnect'))
})

t.test(
  'a subscription outlives a listener that throws or rejects, and a status that cannot be given',
  async t => {
    const server = await startNats(t)
    const { nats, failed } = await connected(t, server)
    const seen: string[] = []
    nats.subscribe('test.sync', msg => {
      if (msg.string() === 'bad') fail()
      seen.push(msg.string())
    })
    nats.subscribe('test.async', async msg => {
      await sleep(1)
      if (msg.string() === 'bad') fail()
      seen.push(msg.string())
    })
    for (const subject of ['test.sync', 'test.async'])
      for (const body of ['bad', 'good']) nats.connection.publish(subject, body)
    await until(() => seen.length === 2)
    t.same(failed.splice(0).sort(), ['test.async: of the listener', 'test.sync: of the listener'])

    let breaks = true
    answerProjectionStatus(nats, () => (breaks ? fail() : []))
    t.same(await askProjectionStatus(nats, 100), [])
    t.same(failed.splice(0), ['confab.projections.status: of the listener'])
    breaks = false
    t.same(await askProjectionStatus(nats, 100), [])
    t.same(failed, [])

    const unserialisable = { ok: true, toJSON: fail } as unknown as RetryOutcome
    answerRetries(nats, async () => unserialisable)
    t.equal(await askRetry(nats, { projection: 'search', stream: 'A', streamSeq: 1 }, 1, 200), undefined)
    t.same(failed.splice(0), ['confab.projections.retry: of the listener'])
    t.equal(await answers(nats), true)
  },
)

t.test('one pending request that throws does not keep the others from failing', async t => {
  const server = await startNats(t)
  const { nats, failed } = await connected(t, server)
  const inbox = new ReplyInbox(nats, 250)
  t.teardown(() => inbox.close())
  const ended: string[] = []
  inbox.expect({ subject: 'a', answer: () => true, fail })
  inbox.expect({ subject: 'b', answer: () => true, fail: why => ended.push(why) })
  await until(() => ended.length === 1)
  const reply = inbox.expect({ subject: 'c', answer: fail, fail: why => ended.push(why) })
  nats.connection.publish(reply, 'an answer')
  await until(() => ended.length === 2)
  t.same(ended, ['timeout', 'timeout'])
  t.same(failed.length, 2)
})

t.test('members of the commands are followed on when a listener throws', async t => {
  const server = await startNats(t)
  const { nats, failed } = await connected(t, server)
  let calls = 0
  const members = new CommandsNodes(nats, () => {
    if (++calls === 1) fail()
  })
  t.teardown(() => members.close())
  for (const member of ['one', 'two'])
    nats.connection.publish(
      CommandSubject.announcements,
      encodeAnnouncement({ member, state: 'here', at: 1 }),
    )
  await until(() => members.size === 2)
  t.same(failed, ['commands nodes: of the listener'])
})

t.test('a hook of answered commands that throws ends nothing', async t => {
  const server = await startNats(t)
  const { nats, failed } = await connected(t, server)
  const commands = new CommandServer(nats, {
    bus: { execute: (async () => ({ seq: 1 })) as unknown as CommandBus['execute'] },
    onAnswered: fail,
  })
  await commands.start()
  t.teardown(() => commands.stop())
  const command = (call: string) =>
    encodeCommand({
      call,
      id: call,
      from: 'bob',
      at: 'now',
      ttl: 5_000,
      request: { id: '1', t: 'leave', c: 'tea' },
    })
  const subject = commandSubject(commands.node!)
  for (const call of ['a', 'b'])
    t.match((await nats.connection.request(subject, command(call))).string(), /"seq":1/)
  await until(() => failed.length === 2)
  t.same(failed, Array(2).fill('answered commands: of the listener'))
  t.equal(commands.inProgress, 0)
})

t.test('plans are watched on when a listener throws', async t => {
  const server = await startNats(t)
  const { nats, failed } = await connected(t, server)
  const plans = await openNatsPlans(nats)
  const seen: string[] = []
  const unwatch = await plans.watch(projection => {
    if (projection === 'inbox') fail()
    seen.push(projection)
  })
  t.teardown(unwatch)
  for (const projection of ['inbox', 'search'] as const) await plans.update(projection, () => firstPlan(1))
  await until(() => seen.length === 1)
  await plans.update('search', plan => setPaused(plan!, true))
  await until(() => seen.length === 2)
  t.same(failed, ['projection plans: of the listener'])
})

t.test('presence is read on when a listener throws', async t => {
  const server = await startNats(t)
  const { nats, failed } = await connected(t, server)
  const store = await openPresenceBucket(nats)
  t.teardown(() => store.close())
  const heard: string[] = []
  store.follow({
    heard: record => {
      if (record.edge === 'bad') fail()
      heard.push(record.edge)
    },
    lost: fail,
  })
  for (const edge of ['bad', 'good']) await store.put([{ of: 'edge', edge, ttlMs: 5_000 }], 5_000)
  await until(() => heard.length === 1)
  t.same(failed, ['presence records: of the listener'])
})

t.test('a connection that is being closed takes no more messages', async t => {
  const server = await startNats(t)
  const { nats } = await connected(t, server)
  t.ok(nats.connected())
  const closed = nats.close()
  t.ok(nats.connection.isDraining(), 'the server has not closed it yet')
  t.notOk(nats.connected())
  await closed
  t.notOk(nats.connected())
})
