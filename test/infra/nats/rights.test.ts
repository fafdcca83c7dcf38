import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import fc from 'fast-check'
import t from 'tap'
import {
  deadLetterSubjectOf,
  Family,
  livePatternOf,
  livePrefix,
  SubjectPattern,
  signalSubjectOf,
  snapshotSubjectOf,
  subjectOf,
} from '../../../src/events/index.ts'
import {
  CommandSubject,
  commandPattern,
  commandSubject,
} from '../../../src/infra/nats/commands/command-wire.ts'
import { projectionStatusSubject } from '../../../src/infra/nats/coordination/projection-coordination.ts'
import { revocationKey, revocationPatterns } from '../../../src/infra/nats/coordination/revocation-bucket.ts'
import { sessionsSubject } from '../../../src/infra/nats/coordination/session-queries.ts'
import { DigestSubject, digestSubject } from '../../../src/infra/nats/feed/digest.ts'
import {
  answerProjectionStatus,
  applyBuckets,
  CommandServer,
  checkRights,
  connectNats,
  createSessionQueries,
  discoverLog,
  JetStreamEventLog,
  type Nats,
  NatsEventSource,
  type Refusal,
  rightsFinding,
} from '../../../src/infra/nats/index.ts'
import { loadStreams } from '../../../src/infra/nats/log/streams.ts'
import { allows, covers, ownRights } from '../../../src/infra/nats/rights/own-rights.ts'
import {
  dangerousSubjects,
  inboxesOf,
  type NatsUser,
  natsUsers,
  rightsOf,
} from '../../../src/infra/nats/rights/rights.ts'
import { conversation, newEvent } from '../../contracts/new-events.ts'
import { startNats } from '../../harness/nats.ts'
import { inboxPrefixOf, passwordOf, urlOf } from '../../harness/nats-users.ts'

const streams = loadStreams()
const limited = natsUsers.filter(user => user !== 'operator')
const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)

const start = async (t: Parameters<typeof startNats>[0]) => {
  const nats = await startNats(t, { hasUsers: true })
  const admin = await nats.connect()
  await applyBuckets(admin, { revocationsMs: 86_400_000 })
  return { nats, admin, manager: await jetstreamManager(admin.connection) }
}

t.test('patterns select the subjects that functions build', async t => {
  fc.assert(
    fc.property(id, fc.constantFrom(...Object.values(Family)), (id, family) => {
      const subject = subjectOf({ family, id })
      const pattern = family === Family.user ? SubjectPattern.users : SubjectPattern.conversations
      const pairs = [
        [pattern, subject],
        [livePatternOf(family), `${livePrefix}.${subject}`],
        [SubjectPattern.signals, signalSubjectOf(id)],
        [SubjectPattern.snapshots, snapshotSubjectOf({ family, id })],
        [SubjectPattern.deadLetters, deadLetterSubjectOf(id)],
        [commandPattern, commandSubject(id)],
        [DigestSubject.all, digestSubject(id)],
        [revocationPatterns[0], revocationKey({ of: 'user', user: id, before: 1 })],
        [revocationPatterns[1], revocationKey({ of: 'token', user: id, token: id })],
      ] as const
      for (const [wide, narrow] of pairs) t.ok(covers(wide, narrow), `${wide} ${narrow}`)
    }),
    { numRuns: 20 },
  )
})

t.test('covers and allows follow the rules of NATS', async t => {
  for (const [pattern, subject, expected] of [
    ['a.b', 'a.b', true],
    ['a.*', 'a.b', true],
    ['a.*', 'a.*', true],
    ['a.b', 'a.*', false],
    ['a.*', 'a.>', false],
    ['a.>', 'a.*', true],
    ['a.>', 'a.b.c', true],
    ['a.>', 'a.>', true],
    ['a.>', 'a', false],
    ['>', 'a.b', true],
    ['*', 'a.b', false],
    ['a.*', 'a.b.c', false],
  ] as const)
    t.equal(covers(pattern, subject), expected, `${pattern} ${subject}`)
  t.ok(allows({}, 'a.b'))
  t.notOk(allows({ allow: ['a.*'] }, 'b'))
  t.notOk(allows({ deny: ['a.b'] }, 'a.*'))
  t.notOk(allows({ allow: ['>'], deny: ['a.>'] }, 'a.b'))
  t.ok(allows({ deny: ['a.b.c'] }, 'a.*'))
})

/**
 * Texts of the code that begin like a subject. `subjectOf` alone builds those of conversations and users.
 * `confab.restored`, `confab.compared`, `confab.role` and `confab.epoch` are metadata of a stream. The API of another
 * domain is used by servers alone.
 */
const subjectTexts =
  /(['`])((?:live|snap|dead|sig|cmd|digests|confab(?!\.v1|\.js|\.restored|\.compared|\.role|\.epoch|\.subjects|\.cuts)|\$KV|\$SYS|\$JS(?!\.\$\{(?:homeDomain|domain)))\.[^'`\s]*)\1/g

t.test('every subject in the code belongs to a user', async t => {
  const folder = join(import.meta.dirname, '../../../src')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map(name => join(folder, name))
    .filter(path => path.endsWith('.ts') && /\/src\/(infra\/nats|events|cli|app)\//.test(path))
    // Operators alone examine links, and they may do everything.
    .filter(path => statSync(path).isFile() && !path.endsWith('/diagnose-links.ts'))
  const all = limited
    .map(user => rightsOf(user, streams))
    .flatMap(rights => [...rights.publish, ...rights.subscribe])
  let seen = 0
  for (const path of files)
    for (const [, , text = ''] of readFileSync(path, 'utf8').matchAll(subjectTexts)) {
      const subject = text.replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, 'x')
      // Prefixes, and functions that build the subjects of an API or a bucket from the names in the table.
      if (/\.$|^\$(JS\.API|KV)\.x/.test(subject)) continue
      seen++
      const isListed = all.some(pattern => covers(pattern, subject) || covers(subject, pattern))
      t.ok(isListed, `${path}: ${text}: list it in src/infra/nats/rights/rights.ts`)
    }
  t.ok(seen >= 15, `${seen} subjects`)
  t.ok(all.includes(CommandSubject.request))
})

t.test('each user may do what the table says, and is refused everything else', async t => {
  const { nats, admin, manager } = await start(t)
  const log = new JetStreamEventLog(admin, await discoverLog(admin.connection))
  await log.append(conversation('kept'), 0, [newEvent(1)])
  log.close()
  const before = (await manager.streams.info('CONV_0')).state

  /** An example of each kind of subject that any user uses, and of each operation that only an administrator needs. */
  const examples = [
    ...new Set([
      ...natsUsers.filter(user => user !== 'operator').flatMap(user => rightsOf(user, streams).publish),
      ...dangerousSubjects(streams),
      '$JS.API.STREAM.CREATE.KV_confab-presence',
      '$JS.API.STREAM.DELETE.KV_confab-revocations',
      '$JS.API.STREAM.PURGE.KV_confab-revocations',
      '$JS.API.CONSUMER.CREATE.KV_confab-presence.*',
      '$JS.API.CONSUMER.CREATE.CONV_0.*.*',
      '$JS.API.CONSUMER.MSG.NEXT.CONV_0.*',
      '$JS.API.STREAM.SNAPSHOT.CONV_0',
      '$JS.API.STREAM.LEADER.STEPDOWN.CONV_0',
      '$JS.API.SERVER.REMOVE',
      '$KV.confab-revocations.everyone',
      'live.conv.*.*',
      'elsewhere',
    ]),
  ].map(pattern => pattern.replaceAll('*', 'x').replaceAll('>', 'x'))
  for (const user of limited) {
    const { publish, subscribe } = rightsOf(user, streams)
    // Without an answer: what is allowed may fail, and shall change nothing but its own stream.
    const harmless = examples.filter(
      subject =>
        !/^(conv|user|snap|dead|audit|\$KV)\./.test(subject) ||
        !publish.some(pattern => covers(pattern, subject)),
    )
    const others = natsUsers.filter(other => other !== user).map(inboxesOf)
    const foreign = [...others, '_INBOX.>', '>', 'conv.>', '$JS.>', '$KV.>', 'snap.>']
    /** Calls `attempt` with a connection of its own: a connection reports a limited number of refusals. */
    const refusals = async (expected: readonly string[], attempt: (one: Nats) => void): Promise<void> => {
      const refused = new Set<string>()
      const one = await nats.connectAs(user, { onRefusal: ({ subject }) => refused.add(subject) })
      attempt(one)
      await one.connection.flush()
      for (let n = 0; expected.some(subject => !refused.has(subject)) && n < 1_000; n++) await sleep(10)
      t.same([...refused].sort(), [...new Set(expected)].sort(), user)
      await one.close()
    }
    await refusals(
      harmless.filter(subject => !publish.some(pattern => covers(pattern, subject))),
      one => {
        for (const subject of harmless) one.connection.publish(subject, 'no JSON')
      },
    )
    await refusals(foreign, one => {
      for (const subject of foreign) one.subscribe(subject, () => t.fail(`${user} reads ${subject}`))
      for (const subject of subscribe) one.subscribe(subject, () => {})
    })
    t.notOk(
      dangerousSubjects(streams).some(subject => publish.some(pattern => covers(pattern, subject))),
      user,
    )
  }
  const after = (await manager.streams.info('CONV_0')).state
  t.same([after.messages, after.last_seq], [before.messages, before.last_seq], 'the log is as it was')
  t.ok(nats.violations().length > 100, 'the server logged the refusals')
})

t.test('no user but operator appends, except commands and server', async t => {
  const { nats } = await start(t)
  for (const user of natsUsers) {
    const one = await nats.connectAs(user)
    const log = new JetStreamEventLog(one, await discoverLog(one.connection))
    const startedAt = performance.now()
    const append = log.append(conversation(`of-${user}`), 0, [newEvent(1)])
    if (user === 'commands' || user === 'server' || user === 'operator') await t.resolves(append, user)
    else {
      await t.rejects(append, { code: 'UNAVAILABLE', detail: /NATS_RIGHTS/ }, user)
      t.ok(performance.now() - startedAt < 3_000, `${user}: at once, without a timeout`)
    }
    log.close()
  }
})

t.test('an analyst reads the whole log without consumers', async t => {
  const { nats, admin } = await start(t)
  const layout = await discoverLog(admin.connection)
  const log = new JetStreamEventLog(admin, layout)
  for (let n = 1; n <= 3; n++) await log.append(conversation(`c${n}`), 0, [newEvent(1)])
  log.close()
  const analyst = await nats.connectAs('analyst')
  const source = new NatsEventSource(analyst, await discoverLog(analyst.connection))
  const seen: number[] = []
  for await (const events of source.range('CONV_0', 0, 3))
    seen.push(...events.map(({ streamSeq }) => streamSeq))
  t.same(seen, [1, 2, 3])
  source.close()
  t.same(nats.violations(), [])
})

t.test('a process without the rights of its roles does not start, and says why', async t => {
  const { nats } = await start(t)
  const rejected = async (user: NatsUser, role: 'edge' | 'commands' | 'projections'): Promise<void> => {
    await t.rejects(
      checkRights(await nats.connectAs(user), [role]),
      {
        code: 'NATS_RIGHTS',
        message: new RegExp(`the NATS user ${user} lacks rights of the roles ${role}: it may not`),
      },
      `${user} as ${role}`,
    )
  }
  for (const role of ['edge', 'commands', 'projections'] as const) {
    for (const user of ['edge', 'commands', 'projections', 'analyst'] as const)
      if (user !== role) await rejected(user, role)
    for (const user of [role, 'server', 'operator'] as const)
      await t.resolves(checkRights(await nats.connectAs(user), [role]), `${user} as ${role}`)
  }
  t.same(nats.violations(), [], 'without trying')
  t.same(await rightsFinding(await nats.connectAs('edge')), { rights: 'few', excess: '' })
  t.same(await rightsFinding(await nats.connectAs('operator')), { rights: 'all', excess: '' })
})

t.test('a user with too many rights is found, and one with wrong credentials or inboxes', async t => {
  const permissions = '{ publish: { deny: "$JS.API.STREAM.DELETE.>" }, subscribe: "_INBOX.>" }'
  const authorization = `authorization { users: [
    { user: confab, password: the-password-of-a-test }, { user: wide, password: wide, permissions: ${permissions} }
    { user: edge, password: ${passwordOf('edge')}, permissions: ${JSON.stringify(rightsOf('edge', streams))} } ] }`
  const nats = await startNats(t, { authorization })
  const port = nats.port
  const wide = await connectNats({ servers: `nats://wide:wide@127.0.0.1:${port}` })
  t.teardown(() => wide.close())
  const { rights, excess } = await rightsFinding(wide)
  t.equal(rights, 'too many')
  t.match(excess, /^\$JS\.API\.STREAM\.CREATE\.AUDIT, .* more$/)
  t.same(await rightsFinding(await nats.connectAs('edge')), { rights: 'shared', excess: '' })
  await t.rejects(connectNats({ servers: `nats://wide:wrong@127.0.0.1:${port}` }), {
    code: 'NATS_RIGHTS',
    message: /refuses the credentials: correct user and password/,
  })
  const others = await connectNats({ servers: `nats://wide:wide@127.0.0.1:${port}`, inboxPrefix: '_INBOX_A' })
  t.teardown(() => others.close())
  await t.rejects(discoverLog(others.connection), {
    code: 'NATS_RIGHTS',
    message: /may not subscribe to _INBOX_A\..*: set nats\.inboxPrefix/,
  })
})

for (const [name, hasUsers] of [
  ['responders answer on inboxes only', true],
  ['responders of one account answer on inboxes only', false],
] as const)
  t.test(name, async t => {
    const nats = await startNats(t, { hasUsers })
    const as = (user: NatsUser): Promise<Nats> => (hasUsers ? nats.connectAs(user) : nats.connect())
    const admin = await nats.connect()
    const manager = await jetstreamManager(admin.connection)
    const edge = await as('edge')
    const commands = new CommandServer(await as('commands'), {
      bus: { execute: () => Promise.reject(new Error('no command')) },
    })
    await commands.start()
    t.teardown(() => commands.stop())
    const server = await as('server')
    const queries = createSessionQueries(server)
    t.teardown(queries.answer(async () => ({ node: 'n', sessions: [], matching: 0, connected: 0 })))
    t.teardown(answerProjectionStatus(server, () => []))
    await server.connection.flush()
    const asked = ['$JS.API.STREAM.PURGE.SNAPSHOTS', subjectOf(conversation('forged')), 'snap.conv.forged']
    const answers: string[] = []
    for (const subject of asked) admin.subscribe(subject, msg => answers.push(`${subject} ${msg.string()}`))
    await admin.connection.flush()
    for (const reply of asked) {
      edge.connection.publish(commandSubject(commands.node ?? ''), 'not a command', { reply })
      edge.connection.publish(sessionsSubject, '{"limit":1}', { reply })
      // With accounts, the answer to an operator arrives in the operator's own account.
      if (!hasUsers) edge.connection.publish(projectionStatusSubject, '', { reply })
    }
    t.match(await queries.ask({ limit: 1 }, 1), [{ node: 'n' }], 'an inbox gets an answer')
    const refused = edge.connection.request(commandSubject(commands.node ?? ''), 'not a command')
    t.match((await refused).string(), /BAD_REQUEST/)
    t.same(answers, [])
    t.equal((await manager.streams.info('CONV_0')).state.last_seq, 0)
    t.same(nats.violations(), [])
  })

t.test('refusals are reported once a minute for each subject, with user and operation', async t => {
  const { nats } = await start(t)
  const refusals: Refusal[] = []
  const notices: string[] = []
  const edge = await nats.connectAs('edge', { onRefusal: refusal => refusals.push(refusal) })
  for (let n = 0; n < 5; n++) edge.connection.publish('conv.1.x')
  edge.subscribe('conv.>', () => {})
  await edge.connection.flush()
  while (refusals.length < 2) await sleep(5)
  t.same(refusals, [
    { operation: 'publish', subject: 'conv.1.x', user: 'edge' },
    { operation: 'subscription', subject: 'conv.>', user: 'edge' },
  ])
  const other = await connectNats({
    servers: urlOf(nats.port, 'edge'),
    inboxPrefix: inboxPrefixOf('edge'),
    onNotice: notice => notices.push(notice),
  })
  t.teardown(() => other.close())
  other.connection.publish('conv.1.y')
  while (notices.length === 0) await sleep(5)
  t.match(notices, [/NATS_RIGHTS: the NATS user edge may not publish to conv\.1\.y: see "NATS users"/])
  t.equal((await ownRights(edge)).mayPublish('conv.1.x'), false)
})
