import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { headers as newHeaders } from '@nats-io/transport-node'
import t from 'tap'
import { auditSubject, SubjectPattern, signalSubjectOf, subjectOf } from '../../../src/events/index.ts'
import type { Nats } from '../../../src/infra/nats/client/connection.ts'
import { ReplyInbox } from '../../../src/infra/nats/client/connection.ts'
import { CommandSubject, commandSubject } from '../../../src/infra/nats/commands/command-wire.ts'
import {
  applyBuckets,
  connectNats,
  createSessionQueries,
  discoverLog,
  JetStreamEventLog,
} from '../../../src/infra/nats/index.ts'
import { LogReader } from '../../../src/infra/nats/log/log-reader.ts'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { accountOf, accountsOf, logAccount } from '../../../src/infra/nats/rights/accounts.ts'
import { covers } from '../../../src/infra/nats/rights/own-rights.ts'
import {
  dangerousSubjects,
  inboxesOf,
  type NatsUser,
  natsUsers,
  needsOf,
  rightsOf,
} from '../../../src/infra/nats/rights/rights.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'
import { startCluster } from '../../harness/nats-cluster.ts'
import { inboxPrefixOf, passwordOf } from '../../harness/nats-users.ts'

const streams = loadStreams()
const limited = natsUsers.filter(user => user !== 'operator')
const exampleOf = (pattern: string): string => pattern.replaceAll('*', 'x').replaceAll('>', 'x')

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(5)
}

/** Whether a request is answered. Other servers of a cluster learn of a subscription some time after it was made. */
const isAnswered = (one: Nats, subject: string): Promise<boolean> =>
  one.connection.request(subject, 'probe').then(
    () => true,
    () => false,
  )

t.test('accounts import what the table of rights says, and nothing else', async t => {
  const accounts = accountsOf(streams)
  t.same([...accounts.keys()].sort(), natsUsers.map(accountOf).sort())
  for (const [name, { imports }] of accounts)
    for (const { kind, account, subject } of imports) {
      const origin = accounts.get(account)
      const found = origin?.exports.find(one => one.kind === kind && one.subject === subject)
      t.ok(found?.accounts.includes(name), `${account} exports the ${kind} ${subject} to ${name}`)
      if (kind === 'service' && name !== logAccount)
        t.notOk(
          dangerousSubjects(streams).some(one => covers(subject, one) || covers(one, subject)),
          `${name}: ${subject}`,
        )
    }
  for (const user of limited) {
    const { publish } = needsOf(user, streams)
    const services = accounts
      .get(accountOf(user))
      ?.imports.filter(({ kind, account }) => kind === 'service' && account === logAccount)
    for (const { subject } of services ?? []) t.ok(publish.includes(subject), `${user} uses ${subject}`)
  }
})

/**
 * Subjects that no user but operator may reach: JetStream's API, also where the table of dangerous subjects has none,
 * and everything that other users send and receive.
 */
const targets = [
  ...dangerousSubjects(streams),
  ...['KV_confab-revocations', 'KV_confab-projections', 'KV_confab-presence'].flatMap(bucket =>
    ['STREAM.DELETE', 'STREAM.PURGE', 'STREAM.UPDATE'].map(operation => `$JS.API.${operation}.${bucket}`),
  ),
  '$JS.API.STREAM.CREATE.OTHER',
  '$JS.API.STREAM.SNAPSHOT.CONV_0',
  '$JS.API.STREAM.LEADER.STEPDOWN.CONV_0',
  '$JS.API.STREAM.PEER.REMOVE.CONV_0',
  '$JS.API.CONSUMER.MSG.NEXT.CONV_0.x',
  '$KV.confab-revocations.everyone',
  ...limited.flatMap(user => {
    const { publish, subscribe } = rightsOf(user, streams)
    return [...publish, ...subscribe]
  }),
  ...natsUsers.map(inboxesOf),
  'confab.projections.status',
].filter(subject => !/^(\$SYS|_R_)\./.test(subject))

t.test('an answer reaches the account of its request only, whatever its reply subject', async t => {
  const nats = await startNats(t, { hasUsers: true })
  const admin = await nats.connectAs('operator')
  await applyBuckets(admin, { revocationsMs: 86_400_000 })
  const manager = await jetstreamManager(admin.connection)
  const log = new JetStreamEventLog(admin, await discoverLog(admin.connection))
  await log.append(conversation('kept'), 0, [newEvent(1)])
  log.close()
  /** Users may add records and events of their own. */
  const growing = new Set(['AUDIT', 'CONV_0'])
  const state = async (): Promise<unknown[]> => {
    const all: unknown[] = []
    for await (const { config, state } of manager.streams.list()) {
      const { messages, first_seq, last_seq, consumer_count } = state
      all.push([config, consumer_count, growing.has(config.name) ? [] : [messages, first_seq, last_seq]])
    }
    return all
  }
  const before = await state()
  /** A subject to which users who append may publish. */
  const own = subjectOf(conversation('own'))

  for (const attacker of limited) {
    const { publish } = rightsOf(attacker, streams)
    const replies = [
      ...new Set(targets.filter(one => !publish.some(pattern => covers(pattern, one))).map(exampleOf)),
    ]
    t.ok(replies.length > 60, `${attacker}: ${replies.length} subjects`)
    const reached = new Set<string>()
    const others = await Promise.all(
      natsUsers
        .filter(user => user !== attacker)
        .map(async user => [user, await nats.connectAs(user)] as const),
    )
    for (const [user, one] of others) {
      const { subscribe } = rightsOf(user, streams)
      for (const pattern of user === 'operator' ? replies : subscribe)
        one.subscribe(pattern, msg => {
          if (!msg.subject.endsWith(own)) reached.add(`${user} on ${msg.subject}`)
        })
      await one.connection.flush()
    }
    const one = await nats.connectAs(attacker)
    for (const reply of replies) {
      // Answers without data, such as that of a get that finds nothing, with JSON, and with a whole message.
      const requests: [subject: string, data: string][] = [
        ['$JS.API.DIRECT.GET.CONV_0', '{"seq":1000}'],
        ['$JS.API.DIRECT.GET.CONV_0', '{"seq":1}'],
        ['$JS.API.STREAM.MSG.GET.CONV_0', '{"seq":1}'],
        ['$JS.API.STREAM.INFO.CONV_0', ''],
        ['$SYS.REQ.USER.INFO', ''],
      ]
      if (attacker !== 'analyst') requests.push([auditSubject, '{}'])
      if (publish.includes(SubjectPattern.conversations)) requests.push([own, '{}'])
      for (const [subject, data] of requests) one.connection.publish(subject, data, { reply })
    }
    await one.connection.flush()
    // An answer to the last request of all shows that the others were answered.
    await (await jetstreamManager(one.connection, { checkAPI: false })).getAccountInfo()
    await sleep(50)
    await admin.connection.flush()
    t.same([...reached], [], `${attacker} reaches nobody`)
    await Promise.all([one, ...others.map(([, other]) => other)].map(connected => connected.close()))
  }
  t.same(await state(), before, 'all streams are as they were')
  t.equal((await manager.streams.getMessage('CONV_0', { seq: 1 }))?.subject, subjectOf(conversation('kept')))
  t.same(nats.violations(), [], 'the server had nothing to refuse')
})

t.test('within one account, the answer to an analyst removes a stream', async t => {
  const rights = JSON.stringify(rightsOf('analyst', streams))
  const authorization = `authorization { users: [
    { user: confab, password: the-password-of-a-test }
    { user: analyst, password: ${passwordOf('analyst')}, permissions: ${rights} } ] }`
  const nats = await startNats(t, { authorization })
  const { connection } = await nats.connectAs('analyst')
  connection.publish('$JS.API.DIRECT.GET.CONV_0', '{"seq":1}', { reply: '$JS.API.STREAM.DELETE.USER_0' })
  await connection.flush()
  const manager = await jetstreamManager((await nats.connect()).connection)
  // If this fails one day, the server checks reply subjects, and one account for all users may be enough.
  while ((await manager.streams.names().next()).includes('USER_0')) await sleep(20)
})

t.test('a trace of a message reaches only subjects to which its sender may publish', async t => {
  const nats = await startNats(t, { hasUsers: true })
  const admin = await nats.connect()
  const reached: string[] = []
  for (const subject of ['$JS.API.STREAM.PURGE.SNAPSHOTS', 'sig.x.x', 'traces'])
    admin.subscribe(subject, () => reached.push(subject))
  await admin.connection.flush()
  const refused: string[] = []
  const edge = await nats.connectAs('edge', { onRefusal: ({ subject }) => refused.push(subject) })
  for (const destination of ['$JS.API.STREAM.PURGE.SNAPSHOTS', 'traces', 'sig.x.x']) {
    const headers = newHeaders()
    headers.set('Nats-Trace-Dest', destination)
    edge.connection.publish('$JS.API.DIRECT.GET.CONV_0', '{"seq":1}', { headers, reply: edge.newInbox() })
  }
  await until(() => refused.length === 2)
  await admin.connection.flush()
  t.same(reached, [])
})

t.test('on a cluster of three, users of different servers work together', { timeout: 120_000 }, async t => {
  const cluster = await startCluster(t)
  const admin = await cluster.connect()
  const connectAs = async (user: NatsUser, server: number): Promise<Nats> => {
    const url = cluster.urls[server]?.replaceAll('operator', user) ?? ''
    const one = await connectNats({ servers: url, inboxPrefix: inboxPrefixOf(user) })
    t.teardown(() => one.close())
    return one
  }
  const edge = await connectAs('edge', 0)
  const edge2 = await connectAs('edge', 1)
  const server = await connectAs('server', 2)

  let stored = 0
  await t.test('appends, batches and the live feed', async t => {
    const heard = new Map<Nats, string[]>()
    for (const one of [edge, server]) {
      const subjects: string[] = []
      heard.set(one, subjects)
      one.subscribe('live.conv.*.*', msg => subjects.push(msg.subject))
    }
    const first = await connectAs('commands', 0)
    const warming = new JetStreamEventLog(first, await discoverLog(first.connection))
    t.teardown(() => warming.close())
    // The server of the stream's leader learns of the subscriptions.
    while ([...heard.values()].some(({ length }) => length === 0)) {
      await warming.append(conversation(`warm${stored}`), 0, [newEvent(1)])
      stored++
      await sleep(20)
    }
    // One of them is not connected to the leader of the stream.
    for (const index of [0, 1, 2]) {
      const commands = await connectAs('commands', index)
      const log = new JetStreamEventLog(commands, await discoverLog(commands.connection))
      t.teardown(() => log.close())
      const subject = `live.${subjectOf(conversation(`c${index}`))}`
      const live = () => [...heard.values()].flat().filter(one => one === subject)
      const { position } = await log.append(conversation(`c${index}`), 0, [newEvent(1)])
      await log.append(conversation(`c${index}`), position.streamSeq, [newEvent(2), newEvent(3)])
      await t.rejects(log.append(conversation(`c${index}`), position.streamSeq, [newEvent(2)]), {
        message: /./,
      })
      stored += 3
      await until(() => live().length === 6)
      const seqs: number[] = []
      for await (const events of log.read(conversation(`c${index}`), 0))
        seqs.push(...events.map(({ envelope }) => envelope.seq))
      t.same(seqs, [1, 2, 3])
    }
    const manager = await jetstreamManager(admin.connection)
    for (let seq = 1; seq <= stored; seq++) {
      const message = await manager.streams.getMessage('CONV_0', { seq })
      t.notOk(message?.header.has('Nats-Request-Info'), 'the server stores no header of its own')
    }
  })

  await t.test('batches of direct gets, by any replica', async t => {
    for (const index of [0, 1, 2]) {
      const analyst = await connectAs('analyst', index)
      const inbox = new ReplyInbox(analyst, 2_000)
      t.teardown(() => inbox.close())
      const events = await new LogReader(analyst, inbox).batch('CONV_0', { seq: 1, batch: 500 })
      t.equal(events.length, stored)
    }
  })

  await t.test('commands, and the report that nothing subscribes', async t => {
    const nodes = [await connectAs('commands', 1), server]
    for (const [index, node] of nodes.entries()) {
      let received = 0
      const subject = commandSubject(`n${index}`)
      const subscription = node.subscribe(subject, msg => {
        received++
        msg.respond(`n${index}`)
      })
      for (const asking of [edge, edge2, server]) await until(() => isAnswered(asking, subject))
      received = 0
      for (const asking of [edge, edge2, server])
        t.equal((await asking.connection.request(subject, '{}')).string(), `n${index}`)
      t.equal(received, 3, 'each command arrives once')
      subscription.unsubscribe()
      for (const asking of [edge, edge2, server]) {
        await until(async () => !(await isAnswered(asking, subject)))
        await t.rejects(asking.connection.request(subject, '{}'), /no responders/i)
      }
    }
  })

  await t.test('signals and heartbeats arrive once at each process', async t => {
    const commands = await connectAs('commands', 2)
    const received = new Map<string, number>()
    const follow = (name: string, one: Nats, subject: string): void => {
      one.subscribe(subject, msg => {
        const key = `${name} ${msg.string()}`
        received.set(key, (received.get(key) ?? 0) + 1)
      })
    }
    for (const [name, one] of Object.entries({ edge, edge2, server })) {
      follow(name, one, SubjectPattern.signals)
      follow(name, one, CommandSubject.announcements)
    }
    follow('commands', commands, CommandSubject.announcements)
    follow('commands', commands, CommandSubject.request)
    const publishAll = (): void => {
      for (const [name, one] of Object.entries({ edge, edge2, server }))
        one.connection.publish(signalSubjectOf('tea'), `signal of ${name}`)
      for (const [name, one] of Object.entries({ commands, server }))
        one.connection.publish(CommandSubject.announcements, `heartbeat of ${name}`)
      edge.connection.publish(CommandSubject.request, 'who')
    }
    // The servers learn of the subscriptions, and all of these messages arrive before the counted ones.
    while (received.size < 18) {
      publishAll()
      await sleep(100)
    }
    let before = 0
    const total = () => [...received.values()].reduce((sum, count) => sum + count, 0)
    while (before !== total()) {
      before = total()
      await sleep(300)
    }
    received.clear()
    publishAll()
    await until(() => received.size >= 18)
    await sleep(200)
    t.same([...new Set(received.values())], [1])
    t.equal(received.size, 18)
  })

  await t.test('each edge node answers each question once', async t => {
    const nodes = { edge, edge2, server }
    for (const [node, one] of Object.entries(nodes))
      t.teardown(
        createSessionQueries(one).answer(async () => ({ node, sessions: [], matching: 0, connected: 0 })),
      )
    for (const asking of [edge, server, admin]) {
      const queries = createSessionQueries(asking)
      await until(async () => (await queries.ask({ limit: 1 }, 0)).length === 3)
      t.same((await queries.ask({ limit: 1 }, 0)).map(({ node }) => node).sort(), ['edge', 'edge2', 'server'])
    }
  })

  await t.test('after the end of a server, its clients continue at another one', async t => {
    const commands = await connectAs('commands', 0)
    const log = new JetStreamEventLog(commands, await discoverLog(commands.connection))
    t.teardown(() => log.close())
    const live: string[] = []
    edge.subscribe(`live.${subjectOf(conversation('later'))}`, msg => live.push(msg.subject))
    commands.subscribe(commandSubject('later'), msg => msg.respond('here'))
    for (const one of [edge, commands]) await one.connection.flush()
    await cluster.kill9(0)
    /** Repeats a call that fails while the cluster elects leaders. */
    const eventually = async <T>(call: () => Promise<T>): Promise<T> => {
      for (;;)
        try {
          return await call()
        } catch {
          await sleep(50)
        }
    }
    // With the same id, an append whose ack was lost counts once.
    const [first, second] = [newEvent(1), newEvent(2)]
    const appended = await eventually(() => log.append(conversation('later'), 0, [first]))
    t.ok(appended.position.streamSeq > 9)
    const answer = await eventually(() => edge2.connection.request(commandSubject('later'), '{}'))
    t.equal(answer.string(), 'here')
    t.equal((await eventually(() => edge.connection.request(commandSubject('later'), '{}'))).string(), 'here')
    const { position } = appended
    await eventually(() => log.append(conversation('later'), position.streamSeq, [second]))
    await until(() => live.length > 0)
  })
})
