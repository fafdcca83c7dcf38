import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { seqsAreGapless } from '../harness/invariants.ts'
import { Outsider } from '../harness/outsider.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

interface Line {
  c: string
  m: string
  from: string
  at: string
  text: string
  replyTo?: string
}

const root = resolve(import.meta.dirname, '../..')
const ndjson = (lines: readonly Line[]): string => lines.map(line => `${JSON.stringify(line)}\n`).join('')

const texts = [
  'plain',
  '  spaces kept  ',
  'naïve “quotes” — 日本語 \u{1f375}',
  'a\u0000b\tc\nd',
  '\u2028x\u2029',
  '\u200b\u{1f469}\u200d\u{1f680}',
  '<b>&amp;',
  'e\u0301 is not é',
  'x'.repeat(16_384),
]

const linesOf = (count: number, conversations: number): Line[] =>
  Array.from({ length: count }, (_, i) => ({
    c: `room-${i % conversations}`,
    m: `line-${i}`,
    from: `user-${i % 7}`,
    at: new Date(1_500_000_000_000 + ((i * 7919) % count) * 1000).toISOString(),
    text: texts[i % texts.length]!,
    ...(i % 5 === 4 ? { replyTo: `line-${i - conversations}` } : {}),
  }))

/** Returns a log's messages as lines of the import format. */
const messagesIn = (log: Awaited<ReturnType<typeof replayLog>>, c: string): Line[] =>
  (log.get(c) ?? [])
    .filter(({ type }) => type === 'message.posted')
    .map(
      ({ c, m, from, at, text, replyTo }) =>
        ({ c, m, from, at, text, ...(replyTo === undefined ? {} : { replyTo }) }) as Line,
    )

t.test('an import without a server stores every message once, unchanged', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const lines = linesOf(700, 3)
  writeFileSync(file, ndjson(lines))
  const first = await runConfab(['import', 'ndjson', file, '--data', data])
  t.equal(first.code, 0, first.stderr)
  t.match(first.stdout, /^700 messages imported, 0 stored before/)

  const log = await replayLog(['--data', data])
  seqsAreGapless(t, log)
  t.same([...log.keys()].sort(), ['room-0', 'room-1', 'room-2'])
  for (const [c, events] of log) {
    t.same(
      messagesIn(log, c),
      lines.filter(line => line.c === c),
      `${c}: order, times and texts of the file`,
    )
    t.match(events[0], {
      type: 'conversation.created',
      kind: 'channel',
      at: lines.find(line => line.c === c)?.at,
    })
    t.equal(events.filter(({ type }) => type === 'member.joined').length, 6, 'each sender joined once')
  }

  const eventsBefore = [...log.values()].flat().length
  const again = await runConfab(['import', 'ndjson', file, '--data', data])
  t.match(again.stdout, /^nothing new/)
  copyFileSync(file, join(folder, 'copy.ndjson'))
  writeFileSync(join(folder, 'other.ndjson'), ndjson([{ ...lines[0]!, c: 'room-9', m: 'new' }, ...lines]))
  const others = await runConfab([
    'import',
    'ndjson',
    join(folder, 'copy.ndjson'),
    join(folder, 'other.ndjson'),
    '--data',
    data,
  ])
  t.equal(others.code, 0, others.stderr)
  t.match(
    others.stdout,
    /^1 message imported, 700 stored before/,
    'message ids identify duplicates in a file without a checkpoint',
  )
  const after = await replayLog(['--data', data])
  after.delete('room-9')
  t.equal([...after.values()].flat().length, eventsBefore, 'nothing changed')

  appendFileSync(file, ndjson([{ ...lines[0]!, m: 'grown' }]))
  t.match(
    (await runConfab(['import', 'ndjson', file, '--data', data])).stdout,
    /^1 message imported, 0 stored before/,
    'the import continues a file that has grown',
  )
})

t.test('errors name bad lines by file and line, and the other lines are imported', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const [one, two, three] = linesOf(3, 1) as [Line, Line, Line]
  writeFileSync(
    file,
    `${ndjson([one])}no json\n${ndjson([two, { ...three, m: one.m }, { ...three, text: 'x'.repeat(16_385) }])}${'y'.repeat(300_000)}\n${ndjson([three])}`,
  )
  for (const run of ['first', 'second']) {
    const { code, stdout, stderr } = await runConfab(['import', 'ndjson', file, '--data', data])
    t.equal(code, 1, `${run} run`)
    t.match(stdout, run === 'first' ? /^3 messages imported/ : /^0 messages imported, 3 stored before/)
    t.match(stderr, `${file}:2: is not JSON`)
    t.match(stderr, `${file}:4: CONFLICT`)
    t.match(stderr, `${file}:5: text has more than 16384 bytes`)
    t.match(stderr, `${file}:6: has more than 262144 bytes`)
    t.match(stderr, /error BAD_INPUT: 4 lines were not imported/)
    t.notMatch(stderr, /\n {4}at /, 'no stack trace')
  }
  t.same(messagesIn(await replayLog(['--data', data]), 'room-0'), [one, two, three])
  const missing = await runConfab(['import', 'ndjson', join(folder, 'missing'), '--data', data])
  t.equal(missing.code, 1)
  t.match(missing.stderr, /error NO_INPUT: .*missing: the file or folder does not exist/)
})

t.test('a message that the log holds with another text, sender or time is reported', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const other = join(folder, 'other.ndjson')
  const lines = linesOf(8, 2)
  const [one, two] = lines as [Line, Line]
  writeFileSync(file, ndjson([...lines, { ...one, text: 'changed' }, one]))
  const first = await runConfab(['import', 'ndjson', file, '--data', data])
  t.equal(first.code, 1)
  t.match(
    first.stdout,
    /^8 messages imported, 1 stored before, 0 joins and leaves, 6 joins added for senders, /,
  )
  t.match(first.stdout, /, 1 line not imported; /)
  t.match(first.stderr, `${file}:9: CONFLICT: `)
  t.notMatch(first.stderr, /file\.ndjson:10/)

  // The senders are members; then one of them has left.
  const changed = [
    { ...one, text: `${one.text} ` },
    { ...one, at: new Date(Date.parse(one.at) + 1).toISOString() },
    { ...two, from: 'user-0' },
    { ...two, from: 'stranger' },
    two,
  ]
  writeFileSync(other, ndjson(changed))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  for (const run of ['members', 'after the leave']) {
    const again = await runConfab(['import', 'ndjson', other, '--data', data])
    t.equal(again.code, 1, run)
    t.match(again.stdout, /^0 messages imported, 1 stored before, 0 joins and leaves, 0 joins added/, run)
    for (const line of [1, 2, 3, 4]) t.match(again.stderr, `${other}:${line}: CONFLICT: the log holds `, run)
    t.match(again.stderr, /error BAD_INPUT: 4 lines were not imported/)
    const user = new Outsider('user-0', [confab.url], await confab.token('user-0'))
    await user.command('leave', { c: 'room-0', key: run }).catch(() => {})
    await user.stop()
  }
  t.same(
    messagesIn(await replayLog(['--data', data]), 'room-0'),
    lines.filter(({ c }) => c === 'room-0'),
  )
})

t.test('clients of a running server receive imported messages, and a user who left stays out', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const lines = linesOf(1_200, 2)
  writeFileSync(file, ndjson(lines))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const clients = []
  for (const user of ['user-1', 'user-2', 'watcher'])
    clients.push(new Outsider(user, [confab.url], await confab.token(user)))
  const [leaver, member, watcher] = clients as [Outsider, Outsider, Outsider]
  await watcher.command('create', { c: 'room-0', kind: 'channel', members: ['user-2'], key: 'k' })
  watcher.expect('room-0')
  member.expect('room-0')
  t.equal((await runConfab(['import', 'ndjson', file, '--data', data])).code, 0)

  const log = await replayLog(['--data', data])
  const head = log.get('room-0')!.length
  for (const client of [member, watcher]) {
    while (client.head('room-0') < head) await sleep(10)
    t.same(
      client.seen.get('room-0')!.slice(-600),
      log.get('room-0')!.slice(-600),
      `${client.user} received it live`,
    )
    t.same(client.breaches, [])
  }
  t.same(
    messagesIn(log, 'room-0'),
    lines.filter(({ c }) => c === 'room-0'),
  )

  await leaver.command('leave', { c: 'room-0', key: 'gone' })
  writeFileSync(join(folder, 'other.ndjson'), ndjson(lines.slice(3)))
  const again = await runConfab(['import', 'ndjson', file, join(folder, 'other.ndjson'), '--data', data])
  t.equal(again.code, 0, again.stderr)
  t.equal((await replayLog(['--data', data])).get('room-0')!.length, head + 1, 'the log has the leave only')
  for (const client of clients) await client.stop()
})

t.test('SIGINT stops an import in an orderly way, and the same command continues it', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const lines = linesOf(30_000, 1).map(line => ({ ...line, text: line.text.slice(0, 50) }))
  writeFileSync(file, ndjson(lines))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const watcher = new Outsider('user-0', [confab.url], await confab.token('user-0'))
  watcher.expect('room-0')
  const child = spawn(process.execPath, ['src/cli/main.ts', 'import', 'ndjson', file, '--data', data], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  const exit = once(child, 'exit')
  while (watcher.head('room-0') < 500) await sleep(5)
  child.kill('SIGINT')
  t.same(await exit, [130, null])
  t.match(stderr, /error INTERRUPTED: .*run the same command again to continue the import/)
  const partial = messagesIn(await replayLog(['--data', data]), 'room-0')
  t.ok(partial.length < lines.length, `stopped at ${partial.length}`)
  t.same(partial, lines.slice(0, partial.length), 'the log holds the first lines')
  const rest = await runConfab(['import', 'ndjson', file, '--data', data])
  t.equal(rest.code, 0, rest.stderr)
  t.same(messagesIn(await replayLog(['--data', data]), 'room-0'), lines)
  await watcher.stop()
})

t.test('two parallel imports of one file store every message once', async t => {
  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const file = join(folder, 'file.ndjson')
  const lines = linesOf(3_000, 4)
  writeFileSync(file, ndjson(lines))
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const { url } = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { url: string }
  const results = await Promise.all([
    runConfab(['import', 'ndjson', file, '--data', data]),
    runConfab(['import', 'ndjson', file, '--nats', url]),
  ])
  for (const { code, stderr } of results) t.equal(code, 0, stderr)
  const log = await replayLog(['--nats', url])
  seqsAreGapless(t, log)
  for (let c = 0; c < 4; c++)
    t.same(
      messagesIn(log, `room-${c}`)
        .map(({ m }) => m)
        .sort(),
      lines
        .filter(line => line.c === `room-${c}`)
        .map(({ m }) => m)
        .sort(),
    )
})
