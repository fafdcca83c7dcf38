import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { SignalInterest } from '../../../src/edge/ports/signals.ts'
import { connectNats, JetStreamSnapshots, NatsSignals } from '../../../src/infra/nats/index.ts'
import { conversation, user } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(5)
}

const interestIn = (...ids: string[]): SignalInterest => ({
  needs: id => ids.includes(id),
  ids: () => ids,
  watch: () => {},
})

t.test('a signal reaches every node with interest, its own included', async t => {
  const nats = await startNats(t)
  const heard: unknown[] = []
  const nodes = await Promise.all(
    [1, 2].map(async node => {
      const connected = await nats.connect()
      const signals = new NatsSignals(connected)
      signals.listen(signal => heard.push([node, signal]), interestIn('general'))
      await connected.connection.flush()
      return signals
    }),
  )
  nodes[0]?.publish('nobody-here', { type: 'typing', user: 'bob', on: true })
  nodes[0]?.publish('general', { type: 'typing', user: 'bob', on: true })
  await until(() => heard.length === 2)
  t.same(heard.sort(), [
    [1, { type: 'typing', user: 'bob', on: true }],
    [2, { type: 'typing', user: 'bob', on: true }],
  ])
})

t.test('while it is narrow, a node subscribes to the signals that it needs', async t => {
  const nats = await startNats(t)
  const proxy = await nats.proxy()
  const connected = await nats.connect(proxy.url)
  const signals = new NatsSignals(connected)
  const sender = new NatsSignals(await nats.connect())
  const heard: unknown[] = []
  const needed = new Set(['general', 'bob'])
  let watcher: (id: string, isNeeded: boolean) => void = () => {}
  signals.listen(signal => heard.push(signal), {
    needs: id => needed.has(id),
    ids: () => needed,
    watch: listener => {
      watcher = listener
    },
  })
  /** Sends one to each, and one more that shows that all before have arrived. */
  let last = 0
  const heardOf = async (...ids: string[]): Promise<unknown[]> => {
    const before = heard.length
    for (const id of ids) sender.publish(id, { id })
    sender.publish('general', ++last)
    await until(() => heard.at(-1) === last)
    return heard.slice(before, -1)
  }
  signals.narrow()
  await until(() => signals.isNarrow)
  t.equal(signals.subscriptions, 2)
  t.same(await heardOf('bob', 'eve', 'general'), [{ id: 'bob' }, { id: 'general' }])
  needed.add('carol')
  watcher('carol', true)
  await connected.connection.flush()
  t.same(await heardOf('carol', 'bob'), [{ id: 'carol' }, { id: 'bob' }], 'each once')
  // Its subscription lasts a while longer.
  needed.delete('carol')
  watcher('carol', false)
  t.same(await heardOf('carol', 'bob'), [{ id: 'bob' }])
  signals.widen()
  await until(() => !signals.isNarrow)
  t.equal(signals.subscriptions, 0)
  t.same(await heardOf('bob', 'eve'), [{ id: 'bob' }], 'each once')
  // Without NATS the mode stays, and changes later.
  proxy.block(true)
  await until(() => !connected.connected())
  signals.narrow()
  await sleep(50)
  t.notOk(signals.isNarrow)
  proxy.block(false)
  await until(() => signals.isNarrow)
  t.same(await heardOf('bob', 'eve'), [{ id: 'bob' }])
  signals.widen()
  signals.narrow()
  signals.widen()
  await until(() => !signals.isNarrow && signals.subscriptions === 0)
  t.same(await heardOf('bob', 'eve'), [{ id: 'bob' }])
})

t.test('invalid signals and failing listeners do not end it; without NATS a signal is lost', async t => {
  const nats = await startNats(t)
  const proxy = await nats.proxy()
  const connected = await nats.connect(proxy.url)
  const signals = new NatsSignals(connected)
  const heard: unknown[] = []
  signals.listen(
    signal => {
      if (signal === 'bad') throw new Error('of the listener')
      heard.push(signal)
    },
    { needs: () => true, ids: () => [], watch: () => {} },
  )
  const { connection } = await nats.connect()
  await connected.connection.flush()
  connection.publish('sig.1.x', 'no JSON')
  connection.publish('sig.1.x', '"bad"')
  connection.publish('sig.1.x', '"good"')
  await until(() => heard.length === 1)
  proxy.block(true)
  await until(() => !connected.connected())
  signals.publish('x', 'lost')
  proxy.block(false)
  await until(() => connected.connected())
  signals.publish('x', 'after')
  await until(() => heard.length === 2)
  t.same(heard, ['good', 'after'])
})

t.test('the newest snapshot of each aggregate is kept, small and large', async t => {
  const nats = await startNats(t)
  const snapshots = new JetStreamSnapshots(await nats.connect())
  const aggregate = conversation()
  t.equal(await snapshots.load(aggregate), undefined)
  for (const [streamSeq, size] of [
    [1, 0],
    [2, 10],
    [3, 1_023],
    [4, 1_024],
    [5, 3_000_000],
  ] as const) {
    const data = new Uint8Array(randomBytes(size))
    await snapshots.save(aggregate, { version: 2, streamSeq, data })
    const loaded = await snapshots.load(aggregate)
    t.same({ version: loaded?.version, streamSeq: loaded?.streamSeq }, { version: 2, streamSeq })
    t.equal(Buffer.compare(loaded?.data ?? Buffer.alloc(1), data), 0, `${size} bytes`)
  }
  t.equal(await snapshots.load(user(aggregate.id)), undefined)
  await t.rejects(
    snapshots.save(aggregate, { version: 2, streamSeq: 6, data: randomBytes(9_000_000) }),
    'too large to be kept',
  )
  t.equal((await snapshots.load(aggregate))?.streamSeq, 5)
  await nats.kill9()
  await t.rejects(snapshots.load(aggregate), { code: 'UNAVAILABLE' })
})

t.test('a connection reports its state, and closes with or without a server', async t => {
  await t.rejects(connectNats({ servers: 'nats://user:secret@127.0.0.1:1' }), {
    code: 'NATS_SERVER_FAILED',
    message: /^(?!.*secret).*127\.0\.0\.1:1/,
  })
  const nats = await startNats(t)
  const notices: string[] = []
  const connected = await connectNats({ servers: nats.url, onNotice: notice => notices.push(notice) })
  const changes: boolean[] = []
  const unlisten = connected.onChange(now => changes.push(now))
  t.equal(connected.connected(), true)
  await nats.kill9()
  await until(() => !connected.connected())
  await nats.restart()
  await until(() => connected.connected())
  t.same(changes, [false, true])
  unlisten()
  await nats.kill9()
  await until(() => !connected.connected())
  t.equal(changes.length, 2)
  await connected.close()
  await connected.close()
  t.equal(connected.connected(), false)
  t.ok(notices.includes('nats: disconnect') && notices.includes('nats: reconnect'))
})
