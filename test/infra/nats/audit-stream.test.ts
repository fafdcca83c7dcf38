import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import t from 'tap'
import {
  type AuditEntry,
  type AuditRecord,
  auditKeyOf,
  type ChainVerdict,
  ChainVerifier,
  parseRecord,
  recordBytes,
  type StoredRecord,
  type VerifyOptions,
} from '../../../src/audit/index.ts'
import { auditSubject } from '../../../src/events/index.ts'
import { AuditStream, type Nats } from '../../../src/infra/nats/index.ts'
import { streamsStatus } from '../../../src/infra/nats/log/stream-status.ts'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { startNats, type TestNats } from '../../harness/nats.ts'
import { startCluster } from '../../harness/nats-cluster.ts'

const entry = (request: string): AuditEntry => ({
  at: new Date().toISOString(),
  actor: 'os:test',
  process: 'test/1',
  action: 'projections.pause',
  outcome: 'done',
  request,
})

const stored = async (stream: AuditStream): Promise<StoredRecord[]> => {
  const all: StoredRecord[] = []
  for await (const page of stream.read(1, await stream.last())) all.push(...page)
  return all
}

const recordsOf = async (stream: AuditStream): Promise<AuditRecord[]> =>
  (await stored(stream)).map(({ data }) => parseRecord(data)!)

const verify = async (stream: AuditStream, options?: VerifyOptions): Promise<ChainVerdict> => {
  const verifier = new ChainVerifier(options)
  for (const one of await stored(stream)) verifier.take(one)
  return verifier.end(await stream.last())
}

const problemsOf = async (stream: AuditStream): Promise<string[]> =>
  (await verify(stream)).breaks.map(({ kind, seq }) => `${kind} ${seq}`)

const run = (nats: Pick<TestNats, 'url'>, name: string, actions: number): ChildProcess =>
  spawn(process.execPath, [join(import.meta.dirname, 'audit-process.ts'), nats.url, name, String(actions)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

t.test('records are chained, numbered without gaps and read in order', async t => {
  const nats = await startNats(t)
  const stream = new AuditStream(await nats.connect(), { key: auditKeyOf('key') })
  t.equal(await stream.last(), 0)
  t.same(await verify(stream), { records: 0, signed: 0, head: undefined, breaks: [], broken: 0 })
  const appended = await Promise.all(Array.from({ length: 300 }, (_, n) => stream.append(entry(`r${n}`))))
  t.same(await recordsOf(stream), appended, 'more than a page, in the order of the calls')
  t.same(
    appended.map(({ seq }) => seq),
    appended.map((_, index) => index + 1),
  )
  t.match(await verify(stream, { keys: [auditKeyOf('key')] }), { records: 300, signed: 300, broken: 0 })
})

t.test('two processes that record at the same time do not fork the chain', async t => {
  const nats = await startNats(t)
  const children = ['olga', 'omar'].map(name => run(nats, name, 40))
  t.same(await Promise.all(children.map(async child => (await once(child, 'exit'))[0])), [0, 0])
  const stream = new AuditStream(await nats.connect())
  const records = await recordsOf(stream)
  t.equal(records.length, 160)
  t.match(await verify(stream), { records: 160, broken: 0 })
  for (const name of ['olga', 'omar']) {
    const own = records.filter(({ actor }) => actor === `operator:${name}`)
    t.same(
      own.map(({ outcome, params }) => `${outcome} ${params?.n}`),
      Array.from({ length: 40 }, (_, n) => [`started ${n + 1}`, `done ${n + 1}`]).flat(),
    )
  }
  const actors = records.map(({ actor }) => actor)
  t.ok(
    actors.some((actor, index) => index > 0 && actor !== actors[index - 1]),
    'the processes took turns',
  )
})

t.test('of a process that is killed in an action, the start is recorded', async t => {
  const nats = await startNats(t)
  const child = run(nats, 'olga', 0)
  await once(child.stdout!, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const stream = new AuditStream(await nats.connect())
  await stream.append(entry('next'))
  t.match(await recordsOf(stream), [
    { action: 'projections.drop', outcome: 'started', target: 'projection:search/1' },
    { outcome: 'done', request: 'next' },
  ])
  t.match(await verify(stream), { records: 2, broken: 0 })
})

t.test('an append whose answer is lost is stored once', async t => {
  const nats = await startNats(t)
  const proxy = await nats.proxy()
  const connection = await nats.connect(proxy.url)
  const stream = new AuditStream(connection)
  await stream.append(entry('first'))
  // The record arrives; its acknowledgement does not.
  const request = connection.connection.request.bind(connection.connection)
  let lost = 0
  connection.connection.request = async (subject, ...rest) => {
    const answer = await request(subject, ...rest)
    if (subject !== auditSubject || lost++ > 0) return answer
    throw new Error('the answer is lost')
  }
  await stream.append(entry('second'))
  t.equal(lost, 1)
  t.same(
    (await recordsOf(stream)).map(record => record.request),
    ['first', 'second'],
  )
})

t.test('an append waits for a server that restarts, and fails when it stays away', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const stream = new AuditStream(connection, { appendMs: 120_000 })
  await stream.append(entry('first'))
  await nats.kill9()
  const appending = stream.append(entry('second'))
  await nats.restart()
  await appending
  await nats.kill9()
  const hasty = new AuditStream(connection, { appendMs: 200 })
  await t.rejects(hasty.append(entry('third')), { code: 'AUDIT_UNAVAILABLE' })
  await nats.restart()
  t.match(await verify(new AuditStream(await nats.connect())), { records: 2, broken: 0 })
})

t.test('records that wait behind one that times out do not wait again', async t => {
  const nats = await startNats(t)
  const stream = new AuditStream(await nats.connect(), { appendMs: 200 })
  await stream.append(entry('first'))
  process.kill(nats.pid, 'SIGSTOP')
  const waiting = Array.from({ length: 20 }, (_, n) => stream.append(entry(`second ${n}`)))
  const reasons = (await Promise.allSettled(waiting)).map(
    one => (one as PromiseRejectedResult).reason as Error,
  )
  process.kill(nats.pid, 'SIGCONT')
  t.match(
    reasons,
    Array.from({ length: 20 }, () => ({ code: 'AUDIT_UNAVAILABLE' })),
  )
  t.match(
    reasons.slice(1),
    Array.from({ length: 19 }, () => ({ message: /earlier records take too long/ })),
  )
})

t.test('without the stream, an append fails and says what to do', async t => {
  const nats = await startNats(t, { streams: false })
  const stream = new AuditStream(await nats.connect())
  await t.rejects(stream.append(entry('first')), {
    code: 'AUDIT_UNAVAILABLE',
    message: /no stream takes audit\.log: .*confab streams apply/,
  })
})

t.test('the server refuses to remove records', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const stream = new AuditStream(connection)
  for (const request of ['a', 'b', 'c']) await stream.append(entry(request))
  const manager = await jetstreamManager(connection.connection)
  await t.rejects(manager.streams.deleteMessage('AUDIT', 2))
  await t.rejects(manager.streams.purge('AUDIT'))
  const { config } = await manager.streams.info('AUDIT')
  await t.rejects(manager.streams.update('AUDIT', { ...config, deny_delete: false }))
  await t.rejects(manager.streams.update('AUDIT', { ...config, deny_purge: false }))
  const rollup = headers()
  rollup.set('Nats-Rollup', 'all')
  await t.rejects(
    connection.connection.request(auditSubject, 'x', { headers: rollup, timeout: 2_000 }).then(refused),
  )
  t.match(await verify(stream), { records: 3, broken: 0 })
  await manager.streams.update('AUDIT', { ...config, discard: 'old', max_msgs: 2 } as StreamConfig)
  t.same(await problemsOf(stream), ['missing 1'], 'a limit of a stream')
  const [status] = (await streamsStatus(connection, loadStreams())).filter(one => one.stream === 'AUDIT')
  t.match(status, { drift: ['discard', 'max_msgs'], missing: 1 })
  await nats.applyStreams()
  t.equal((await manager.streams.info('AUDIT')).config.max_msgs, -1)
  await stream.append(entry('d'))
  t.same(await problemsOf(stream), ['missing 1'], 'the chain continues')
})

t.test('a stream whose records are all gone is reported, and the chain continues', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const stream = new AuditStream(connection)
  for (const request of ['a', 'b', 'c']) await stream.append(entry(request))
  const manager = await jetstreamManager(connection.connection)
  const { config } = await manager.streams.info('AUDIT')
  await manager.streams.update('AUDIT', { ...config, max_age: 100e6, duplicate_window: 100e6 })
  while ((await manager.streams.info('AUDIT')).state.messages > 0) await sleep(20)
  t.match(await verify(stream), { records: 0, breaks: [{ kind: 'missing', seq: 1, upTo: 3 }] })
  await nats.applyStreams()
  t.match(await stream.append(entry('d')), { seq: 4 })
  t.match(await verify(stream), { records: 1, broken: 1, breaks: [{ kind: 'missing', seq: 1, upTo: 3 }] })
})

/** Rejects when the answer of JetStream is an error. */
const refused = (answer: { json<T>(): T }): void => {
  const { error } = answer.json<{ error?: { description: string } }>()
  if (error !== undefined) throw new Error(error.description)
}

/** Replaces the stream by one with other messages, as an administrator of NATS can. */
const replaceStream = async ({ connection }: Nats, messages: readonly Uint8Array[]): Promise<void> => {
  const manager = await jetstreamManager(connection)
  const { config } = await manager.streams.info('AUDIT')
  // The server removes the files of a deleted stream later: another one of this name may find them.
  do await manager.streams.delete('AUDIT')
  while ((await manager.streams.add(config)).state.messages > 0)
  for (const data of messages) await connection.request(auditSubject, data)
}

t.test('a stream that was replaced by a tampered copy is found out, and the place is named', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const key = auditKeyOf('key')
  const stream = new AuditStream(connection, { key })
  for (const request of ['a', 'b', 'c', 'd', 'e']) await stream.append(entry(request))
  const originals = (await stored(stream)).map(({ data }) => data)
  const { head } = await verify(stream)
  const [a, b, c, d, e] = originals as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  const flipped = Buffer.from(c)
  flipped[flipped.indexOf('pause')]! ^= 1
  const cases: [what: string, messages: readonly Uint8Array[], problems: readonly string[]][] = [
    ['a copy as it was', originals, []],
    ['a flipped bit', [a, b, flipped, d, e], ['changed 3']],
    ['a removed record', [a, b, d, e], ['missing 3']],
    ['the first record removed', [b, c, d, e], ['missing 1']],
    ['two records in the other order', [a, c, b, d, e], ['moved 2']],
    ['a record twice', [a, b, b, c, d, e], ['moved 2']],
    ['a foreign message', [a, b, Buffer.from('junk'), c, d, e], ['foreign 3']],
  ]
  for (const [what, messages, problems] of cases) {
    await replaceStream(connection, messages)
    t.same(await problemsOf(stream), problems, what)
  }
  // Only the anchor shows that the end is missing, and only key and anchor that everything was written anew.
  await replaceStream(connection, [a, b, c])
  t.match(await verify(stream, { keys: [key] }), { broken: 0 })
  t.match(await verify(stream, { anchor: head }), { breaks: [{ kind: 'anchor', seq: 5 }] })
  await replaceStream(connection, [])
  const forger = new AuditStream(connection)
  for (const request of ['a', 'x', 'c', 'd', 'e']) await forger.append(entry(request))
  t.match(await verify(forger), { broken: 0 }, 'hashes alone')
  t.match(await verify(forger, { keys: [key] }), { breaks: [{ kind: 'unsigned' }] })
  t.match(await verify(forger, { anchor: head }), { breaks: [{ kind: 'anchor', seq: 5 }] })
  t.equal(recordBytes(parseRecord(a)!).equals(a), true)
})

t.test('junk in the stream stops no append', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const stream = new AuditStream(connection)
  await stream.append(entry('a'))
  await connection.connection.request(auditSubject, 'junk')
  await stream.append(entry('b'))
  await stream.append(entry('c'))
  t.same(await problemsOf(stream), ['foreign 2'])
})

t.test('three servers: a chain with three copies, with writers at each server', async t => {
  const cluster = await startCluster(t)
  const streams = await Promise.all(
    cluster.urls.map(async url => new AuditStream(await cluster.connect(url))),
  )
  const [first] = streams as [AuditStream]
  await Promise.all(
    streams.flatMap((stream, index) =>
      Array.from({ length: 15 }, (_, n) => stream.append(entry(`r${index}-${n}`))),
    ),
  )
  t.match(await verify(first), { records: 45, broken: 0 })
})
