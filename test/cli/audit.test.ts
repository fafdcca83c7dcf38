import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { Command } from 'commander'
import t from 'tap'
import {
  type ActionName,
  Actions,
  type AuditRecord,
  parseRecord,
  recordBytes,
} from '../../src/audit/index.ts'
import { effectOf } from '../../src/cli/command/command-effect.ts'
import { createProgram } from '../../src/cli/program.ts'
import { auditSubject } from '../../src/events/index.ts'
import { AuditStream, connectNats, findRunningServer, type Nats } from '../../src/infra/nats/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/** The commands that do something themselves, by their whole name. */
const leavesOf = (command: Command, path: readonly string[] = []): [name: string, command: Command][] => [
  ...(command.commands.length === 0 || effectOf(command) !== undefined
    ? [[path.join(' '), command] as [string, Command]]
    : []),
  ...command.commands.flatMap(one => leavesOf(one, [...path, one.name()])),
]

const leaves = leavesOf(createProgram())

const messagesOf = async (nats: Nats): Promise<Uint8Array[]> => {
  const stream = new AuditStream(nats)
  const all: Uint8Array[] = []
  for await (const page of stream.read(1, await stream.last())) all.push(...page.map(({ data }) => data))
  return all
}

const recordsOf = async (nats: Nats): Promise<AuditRecord[]> =>
  (await messagesOf(nats)).map(data => parseRecord(data)!)

t.test('every command reads, acts as a user, or has an action; every action has a source', async t => {
  const effects = leaves.map(([name, command]) => [name, effectOf(command)] as const)
  for (const [name, effect] of effects) t.ok(effect !== undefined, name)
  const having = (effect: string) => effects.filter(one => one[1] === effect).map(([name]) => name)
  t.same(having('reads'), [
    'tail',
    'replay',
    'streams status',
    'streams plan',
    'streams rights',
    'region status',
    'region lost ls',
    'stores status',
    'sessions ls',
    'certs',
    'certs show',
    'projections ls',
    'projections dead-letters',
    'audit ls',
    'audit verify',
    'doctor',
    'top',
  ])
  t.same(having('acts as a user'), ['send'])
  const ofListener = ['admin.refuse', 'configuration.read', 'state.read']
  const reached = new Set([...effects.map(([, effect]) => effect), ...ofListener])
  for (const action of Object.keys(Actions)) t.ok(reached.has(action as ActionName), action)
})

const mark = 'Mk7Q'
const marked = (n: number): string => `${mark}vN1xT4kR${n}mB2wY9cL5pD3hS6gJ0fA`

/** Arguments with which each command that changes something has its effect, in an order in which all of them work. */
const runs = (folder: string): readonly (readonly [name: string, args: readonly string[]])[] => {
  const ndjson = join(folder, 'one.ndjson')
  const irc = join(folder, '2020-01-01.log')
  writeFileSync(
    ndjson,
    `{"c":"tea","m":"1","from":"ann","at":"2020-01-01T00:00:00.000Z","text":"${mark} text"}\n`,
  )
  writeFileSync(irc, `[10:00] <ann> ${mark} text\n`)
  return [
    ['token', ['--user', 'dora', '--role', 'admin']],
    ['import ndjson', [ndjson]],
    ['import irc', [irc]],
    ['streams apply', []],
    ['backup', [join(folder, 'backups')]],
    ['restore', [join(folder, 'backups'), '--verify']],
    ['sessions end', ['--user', 'alice', '--yes']],
    ['projections pause', ['search']],
    ['projections resume', ['search']],
    ['projections rebuild', ['search']],
    ['projections compare', ['search']],
    ['projections switch', ['search', '2']],
    ['projections drop', ['search', '1']],
    ['projections retry', ['--all']],
    ['projections discard', ['--reason', 'no ghosts']],
    ['streams reshard', ['--streams', '2', '--family', 'user', '--yes']],
    ['stores migrate', []],
  ]
}

t.test('each command that changes something is recorded, without secrets and texts', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const env = {
    CONFAB_JWT_SECRET: marked(1),
    CONFAB_AUDIT_KEY: marked(2),
    CONFAB_AUDIT_OPERATOR: 'olga',
    CONFAB_DATA: data,
  }
  const confab = await untilReady(await spawnConfab({ data, env, dev: false }))
  t.teardown(() => confab.stop())
  const { url } = findRunningServer(data)!
  const nats = await connectNats({ servers: url })
  t.teardown(() => nats.close())
  const all = runs(folder)
  t.same(
    all.map(([name]) => name).sort(),
    leaves
      .filter(
        ([name, command]) =>
          !['reads', 'acts as a user', 'process.start'].includes(effectOf(command) ?? '') &&
          // They need several regions: test/cli/region-change.slow.ts has their records.
          !name.startsWith('region '),
      )
      .map(([name]) => name)
      .sort(),
    'a new command must be added here',
  )
  for (const [name, args] of all) {
    const isMigration = name === 'stores migrate'
    const before = (await messagesOf(nats)).length
    const { code, stderr } = await runConfab([...name.split(' '), ...args], {
      ...env,
      ...(isMigration
        ? {
            CONFAB_CASSANDRA: '127.0.0.1:1',
            CONFAB_CASSANDRA_DC: 'dc1',
            CONFAB_CASSANDRA_PASSWORD: marked(3),
            CONFAB_CASSANDRA_USERNAME: 'u',
          }
        : {}),
    })
    t.equal(code, isMigration ? 1 : 0, `${name}: ${stderr}`)
    const action = effectOf(leaves.find(one => one[0] === name)![1]) as ActionName
    const own = (await recordsOf(nats)).slice(before).filter(one => one.action === action)
    t.same(
      own.map(({ outcome }) => outcome),
      [...(Actions[action].recording === 'after' ? [] : ['started']), isMigration ? 'failed' : 'done'],
      name,
    )
    t.match(own.at(-1), { actor: 'operator:olga', osUser: userInfo().username, process: `${hostname()}/` })
  }
  const records = await recordsOf(nats)
  const last = (action: ActionName) => records.findLast(one => one.action === action)
  t.match(last('token.issue'), { target: 'user:dora', params: { user: 'dora', role: 'admin' } })
  t.match(last('sessions.end'), { target: 'user:alice', result: { revoked: { of: 'user' }, closed: 0 } })
  t.match(last('projections.drop'), { target: 'projection:search/1', params: { projection: 'search' } })
  t.match(last('projections.rebuild'), { target: 'projection:search', result: { generation: 2 } })
  t.match(last('projections.discard'), { params: { reason: 'no ghosts' }, result: { letters: 0 } })
  t.match(
    records.find(one => one.action === 'messages.import' && one.result),
    { result: { messages: 1 } },
  )
  t.match(last('stores.migrate'), { code: 'CASSANDRA_UNREACHABLE', target: 'keyspace:confab' })
  t.match(last('streams.apply'), { result: { 'KV_confab-operations': 'created' } })
  t.match(records.slice(0, 2), [
    { action: 'streams.apply', actor: `process:${hostname()}/${confab.pid}`, params: { CONV_0: 'created' } },
    {
      action: 'process.start',
      params: { roles: ['edge', 'commands', 'projections'], options: /^[0-9a-f]{64}$/ },
    },
  ])

  // Also where a secret is in an argument of the command.
  const { password } = new URL(url)
  await runConfab(['projections', 'pause', 'search', '--nats', url, '--verbose'], env)
  const text = Buffer.concat(await messagesOf(nats)).toString()
  t.notMatch(text, mark)
  t.notOk(text.includes(password))
  t.same(last('projections.pause')?.params, { projection: 'search' })

  const checked = await runConfab(['audit', 'verify', '--data', data], env)
  t.equal(checked.code, 0, checked.stderr)
  t.match(checked.stderr, /records are complete and unchanged, \d+ signed/)
  const other = await runConfab(['audit', 'verify', '--data', data], { CONFAB_AUDIT_KEY: marked(4) })
  t.equal(other.code, 1)
  t.match(other.stderr, /error AUDIT_BROKEN: the chain is broken at record 1: the signature matches none/)
  const rotated = { CONFAB_AUDIT_KEY: marked(4), CONFAB_AUDIT_PREVIOUS_KEYS: marked(2), CONFAB_DATA: data }
  t.equal((await runConfab(['projections', 'resume', 'search'], rotated)).code, 0)
  t.equal((await runConfab(['audit', 'verify'], rotated)).code, 0)

  // A command on the folder of a stopped server.
  t.equal(await confab.stop(), 0)
  t.equal((await runConfab(['sessions', 'end', '--user', 'alice', '--yes'], rotated)).code, 0)
  const shown = await runConfab(['audit', 'ls', '--action', 'sessions.end'], rotated)
  t.match(shown.stdout, /^ *\d+ +\S+Z +os:\S+ +sessions\.end +user:alice +done /m)
  t.equal(shown.stdout.trim().split('\n').length, 3, 'the start of a finished action is not shown')
})

t.test('ls filters, and follows; verify names the broken place', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const stream = new AuditStream(connection)
  const entry = { process: 'one/1', outcome: 'done', request: 'r' } as const
  const given = [
    { at: '2026-01-01T00:00:00.000Z', actor: 'os:root', action: 'process.start' },
    { at: '2026-01-02T00:00:00.000Z', actor: 'operator:olga', action: 'projections.drop' },
    { at: '2026-01-03T00:00:00.000Z', actor: 'token:omar', action: 'projections.pause', role: 'admin' },
    { at: '2026-01-04T00:00:00.000Z', actor: 'unknown', action: 'later.action', target: '\u001b[2J' },
  ]
  for (const [n, one] of given.entries()) await stream.append({ ...entry, ...one, request: `r${n}` })
  const ls = (...args: string[]) => runConfab(['audit', 'ls', '--nats', nats.url, ...args])
  const found = async (...args: string[]) =>
    (JSON.parse((await ls('--json', ...args)).stdout) as AuditRecord[]).map(({ seq }) => seq)
  t.same(await found(), [1, 2, 3, 4])
  t.same(await found('--actor', 'olga'), [2])
  t.same(await found('--actor', 'token:omar'), [3])
  t.same(await found('--action', 'projections'), [2, 3])
  t.same(await found('--action', 'projections.drop', '--since', '2026-01-02'), [2])
  t.same(await found('--since', '2026-01-02', '--until', '2026-01-04'), [2, 3])
  t.same(await found('--limit', '1'), [4])
  t.same(await found('--actor', 'nobody-here'), [])
  t.match((await ls('--actor', 'nobody-here')).stderr, /^no records$/m)
  const shown = (await ls()).stdout
  t.match(shown, /^ +3 +2026-01-03T00:00:00Z +token:omar \(admin\) +projections\.pause +– +done/m)
  t.notMatch(shown, '\u001b', 'no control characters of strangers reach the terminal')
  for (const wrong of [
    ['--since', 'noon'],
    ['--limit', '0'],
  ])
    t.equal((await ls(...wrong)).code, 2)

  const follow = spawn(
    process.execPath,
    ['src/cli/main.ts', 'audit', 'ls', '--follow', '--json', '--nats', nats.url],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.teardown(() => follow.kill('SIGKILL'))
  let lines = ''
  follow.stdout.on('data', chunk => {
    lines += chunk
  })
  while (lines.split('\n').length < 5) await once(follow.stdout, 'data')
  await stream.append({ ...entry, at: '2026-01-05T00:00:00.000Z', actor: 'os:root', action: 'process.start' })
  while (!lines.includes('2026-01-05')) await once(follow.stdout, 'data')
  t.same(
    lines
      .trim()
      .split('\n')
      .map(line => (JSON.parse(line) as AuditRecord).seq),
    [1, 2, 3, 4, 5],
  )
  follow.kill('SIGINT')
  t.same(await once(follow, 'exit'), [0, null])

  const verify = (...args: string[]) => runConfab(['audit', 'verify', '--nats', nats.url, ...args])
  const whole = await verify()
  t.equal(whole.code, 0, whole.stderr)
  const anchor = whole.stdout.trim()
  t.match(anchor, /^5:[0-9a-f]{64}$/)
  t.equal((await verify('--anchor', anchor)).code, 0)
  t.match(JSON.parse((await verify('--json')).stdout), { records: 5, broken: 0, breaks: [], anchor })
  const foreign = await verify('--anchor', `4:${anchor.slice(2)}`)
  t.equal(foreign.code, 1)
  t.match(foreign.stderr, /error AUDIT_BROKEN: .* record 4: the record has another hash than the anchor/)
  t.equal((await verify('--anchor', 'x')).code, 2)

  // An administrator of NATS replaces the stream by a tampered copy.
  const messages = await messagesOf(connection)
  const manager = await jetstreamManager(connection.connection)
  const { config } = await manager.streams.info('AUDIT')
  do await manager.streams.delete('AUDIT')
  while ((await manager.streams.add(config)).state.messages > 0)
  messages[1] = Buffer.from(Buffer.from(messages[1]!).toString().replace('olga', 'omar'))
  for (const message of messages.toSpliced(3, 1)) await connection.connection.request(auditSubject, message)
  const broken = await verify('--anchor', anchor)
  t.equal(broken.code, 1)
  t.match(broken.stdout, /^ *2 +changed +the content does not match its hash$/m)
  t.match(broken.stdout, /^ *4 +missing +record 4 is missing$/m)
  t.match(broken.stderr, /error AUDIT_BROKEN: the chain is broken at record 2: .*; 1 more/)
  t.match(JSON.parse((await verify('--json')).stdout), {
    broken: 2,
    breaks: [{ kind: 'changed', seq: 2 }, {}],
  })
  t.ok(recordBytes(parseRecord(messages[0]!)!).equals(messages[0]!))
})

t.test('without an audit stream, destructive commands are refused, and others warn', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const manager = await jetstreamManager(connection.connection)
  await connection.connection.request(
    'dead.search',
    '{"projection":"search","stream":"CONV_0","streamSeq":1}',
  )
  await manager.streams.delete('AUDIT')
  const run = (...args: string[]) => runConfab([...args, '--nats', nats.url])
  const discard = await run('projections', 'discard', '--all')
  t.equal(discard.code, 1)
  t.match(
    discard.stderr,
    /error AUDIT_UNAVAILABLE: projections\.discard was not started, because it cannot be recorded: .*streams apply/,
  )
  t.equal((await manager.streams.info('DEAD_LETTERS')).state.messages, 1, 'nothing was deleted')
  const end = await run('sessions', 'end', '--user', 'alice', '--yes')
  t.equal(end.code, 0, 'a revocation is never refused')
  t.match(end.stderr, /warning: sessions\.end is not recorded in the audit stream: .*streams apply/)
  for (const command of ['ls', 'verify']) {
    const { code, stderr } = await run('audit', command)
    t.equal(code, 1)
    t.match(stderr, /error AUDIT_UNAVAILABLE: the audit stream cannot be read/)
  }
  t.equal((await run('streams', 'apply')).code, 0)
  t.equal((await run('projections', 'discard', '--all')).code, 0)
  t.match(await recordsOf(connection), [
    { action: 'streams.apply', result: { AUDIT: 'created' } },
    { action: 'projections.discard', outcome: 'started' },
    { action: 'projections.discard', outcome: 'done', result: { discarded: [1] } },
  ])
})

t.test('a token that is signed without a system is not recorded, and the command says so', async t => {
  const { code, stdout, stderr } = await runConfab([
    'token',
    '--user',
    'dora',
    '--data',
    join(tempFolder(t), 'data'),
  ])
  t.equal(code, 0)
  t.match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+$/m)
  t.match(stderr, /warning: token\.issue is not recorded in the audit stream: \S+data holds no log/)
})
