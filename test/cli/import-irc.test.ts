import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { fullStack } from '../harness/full-stack.ts'
import { seqsAreGapless, withMembers } from '../harness/invariants.ts'
import { Outsider, type SeenEvent } from '../harness/outsider.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const root = resolve(import.meta.dirname, '../..')
const corpus = resolve(root, '../shared/data/ubuntu-irc')

const skip = existsSync(corpus) ? false : 'the corpus is not here: ../shared/data/ubuntu-irc'

const train = join(corpus, 'train')
/**
 * Whole days of old and new formats of the log, with and without joins, with twelve-hour and twenty-four-hour clocks.
 * CONFAB_TEST_IRC=all imports all days in some minutes; set TAP_TIMEOUT=1800.
 */
const days =
  process.env.CONFAB_TEST_IRC === 'all' && !skip
    ? readdirSync(train)
        .flatMap(file => /^(.*)\.raw\.txt$/.exec(file)?.[1] ?? [])
        .sort()
    : [
        '2004-12-25.train-c',
        '2005-02-08.train-a',
        '2006-05-27.train-c',
        '2010-02-13.train-a',
        '2017-03-02.train-c',
      ]
const filesOf = (names: readonly string[]) => names.map(name => join(train, `${name}.raw.txt`))

/** Content of a day's file, counted without the code of confab. */
interface Day {
  readonly messages: { nick: string; text: string; line: number }[]
  /** Lines by the line that replies to them, later lines first. */
  readonly answers: Map<number, number[]>
  readonly joins: number
  /** Lines of messages without text, from 1: the import reports them. */
  readonly empty: number[]
}

const readDay = (name: string): Day => {
  const base = join(train, name)
  const day: Day = { messages: [], answers: new Map(), joins: 0, empty: [] }
  let joins = 0
  for (const [line, row] of readFileSync(`${base}.raw.txt`, 'utf8').split('\n').entries()) {
    const said =
      row.match(/^\[..:..\] <(.*?)> ?(.*)$/s) ??
      row.match(/^\[..:..\] -(.*?):#.*?- (.*)$/s) ??
      row.match(/^\[..:..\] \((.*?)\/#.*?\) (.*)$/s)
    const did = row.match(/^\[..:..\] {2}\* (\S+) ?(.*)$/s)
    const undated =
      row.startsWith('=== ') &&
      !/\] {2}has (joined|left) #|^=== \S+ was kicked off #|is now known as|^=== mode\/|^=== \.\.\[|^=== net\w+:|^=== Topic |^=== Starting logfile /.test(
        row,
      )
    const acted = undated ? row.match(/^=== (\S+) {1,2}(.+)$/s) : null
    const found = said ?? did ?? acted
    if (found?.[2]?.trim() === '') day.empty.push(line + 1)
    else if (found)
      day.messages.push({
        nick: found[1]!.replaceAll('] ', ']').trim(),
        text: said ? found[2]! : `/me ${found[2]}`,
        line,
      })
    if (/^=== .*\] {2}has joined #/.test(row)) joins++
  }
  const isMessage = new Set(day.messages.map(({ line }) => line))
  for (const row of readFileSync(`${base}.annotation.txt`, 'utf8').split('\n')) {
    const [a, b] = row.split(' ').map(Number)
    if (a === undefined || b === undefined || Number.isNaN(b) || a === b) continue
    const [first, second] = [Math.min(a, b), Math.max(a, b)]
    if (isMessage.has(first) && isMessage.has(second))
      day.answers.set(
        second,
        [...(day.answers.get(second) ?? []), first].sort((x, y) => y - x),
      )
  }
  return { ...day, joins }
}

const get = async <T>(confab: ConfabProcess, token: string, path: string): Promise<T> => {
  const answer = await fetch(`${confab.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** The environment names the databases of the views. */
const importsDays = async (t: Test, env: Record<string, string>): Promise<void> => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data, env }))
  t.teardown(() => confab.stop())
  const said = days.map(readDay)
  const messages = said.flatMap(day => day.messages)
  const first = messages.find(({ nick }) => /^[A-Za-z0-9_-]+$/.test(nick))!.nick
  const watcher = new Outsider('watcher', [confab.url], await confab.token('watcher'))
  await watcher.command('create', {
    c: 'ubuntu',
    kind: 'channel',
    title: '#ubuntu',
    members: [],
    key: 'k',
  })
  watcher.expect('ubuntu')

  const imported = await runConfab(['import', 'irc', ...filesOf(days), '--data', data], env)
  const empty = said.flatMap((day, i) =>
    day.empty.map(line => `${days[i]}.raw.txt:${line}: text has no visible`),
  )
  t.equal(imported.code, empty.length === 0 ? 0 : 1, imported.stderr)
  const reported = imported.stderr.split('\n').filter(line => /\.raw\.txt:\d+: /.test(line))
  t.equal(reported.length, empty.length, 'messages without text are reported, and no other line')
  for (const line of empty) t.match(imported.stderr, line)
  const counted = messages.length.toLocaleString('en-GB')
  t.match(imported.stdout, new RegExp(`^${counted} messages imported, 0 stored before`))

  const replayed = await replayLog(['--data', data])
  const events = replayed.get('ubuntu')!
  seqsAreGapless(t, replayed)
  const posted = events.filter(({ type }) => type === 'message.posted')
  t.equal(posted.length, messages.length, `the log has the ${messages.length} messages of the files`)
  t.same(
    posted.findIndex(({ text }, i) => text !== messages[i]!.text),
    -1,
    'all texts, in order',
  )
  t.same(
    posted.findIndex(
      ({ from }, i) => /^[A-Za-z0-9_-]+$/.test(messages[i]!.nick) && from !== messages[i]!.nick,
    ),
    -1,
    'the right senders',
  )
  const senders = new Set(posted.map(({ from }) => from))
  t.equal(senders.size, new Set(messages.map(({ nick }) => nick)).size, 'as many senders as nicks')
  const times = posted.map(({ at }) => String(at))
  t.ok(
    times.every((at, i) => i === 0 || at >= times[i - 1]!),
    'times never decrease',
  )

  let offset = 0
  const wrong: unknown[] = []
  for (const day of said) {
    const idOfLine = new Map(day.messages.map(({ line }, i) => [line, posted[offset + i]!.m]))
    for (const [i, { line }] of day.messages.entries()) {
      const nearest = day.answers.get(line)?.[0]
      const wanted = nearest === undefined ? undefined : idOfLine.get(nearest)
      if (posted[offset + i]!.replyTo !== wanted) wrong.push([line, posted[offset + i]!.replyTo, wanted])
    }
    offset += day.messages.length
  }
  t.same(wrong, [], 'replies equal the links of the annotations')

  let members: ReadonlySet<string> = new Set()
  let strangers = 0
  for (const [{ type, from }, now] of withMembers(events)) {
    if (type === 'message.posted' && !now.has(from)) strangers++
    members = now
  }
  t.equal(strangers, 0, 'every sender was a member')
  const joins = events.filter(({ type }) => type === 'member.joined').length
  const leaves = events.filter(({ type }) => type === 'member.left').length
  const [, ofFiles, ofSenders] =
    /, ([\d,]+) joins and leaves, ([\d,]+) joins? added/.exec(imported.stdout) ?? []
  t.equal(
    Number(ofFiles?.replaceAll(',', '')) + Number(ofSenders?.replaceAll(',', '')),
    joins + leaves,
    'the summary counts all joins and leaves',
  )
  t.ok(
    joins >= new Set(messages.map(({ nick }) => nick)).size - 1,
    `${joins} joins, ${said.reduce((sum, day) => sum + day.joins, 0)} of them in the files`,
  )

  while (watcher.head('ubuntu') < events.length) await sleep(10)
  t.ok(isSame(watcher.seen.get('ubuntu'), events), 'a connected client received every event live')
  t.same(watcher.breaches, [])
  await watcher.stop()

  await untilLevel(confab)
  const token = await confab.token('watcher')
  const timeline: SeenEvent[] = []
  for (let more = true; more; ) {
    const page = await get<{ events: SeenEvent[]; more: boolean }>(
      confab,
      token,
      `/v1/conversations/ubuntu/events?after=${timeline.length}&limit=200`,
    )
    timeline.push(...page.events)
    more = page.more
  }
  t.ok(isSame(timeline, events), 'the timeline equals the log')

  for (const word of ['ubuntu', 'kernel', 'nvidia', 'grub', 'please', 'thanks', 'zzyzx']) {
    const isIn = new RegExp(`(?<![\\p{L}\\p{N}\\p{M}])${word}(?![\\p{L}\\p{N}\\p{M}])`, 'iu')
    const wanted = messages.filter(({ text }) => isIn.test(text)).length
    let hits = 0
    let cursor = ''
    do {
      const page = await get<{ hits: unknown[]; cursor?: string }>(
        confab,
        token,
        `/v1/search?q=${word}&c=ubuntu&limit=100${cursor}`,
      )
      hits += page.hits.length
      cursor = page.cursor === undefined ? '' : `&cursor=${encodeURIComponent(page.cursor)}`
    } while (cursor !== '')
    t.equal(hits, wanted, `search finds ${word} ${wanted} times`)
  }

  const present = [...members].filter(user => senders.has(user))
  for (const user of ['watcher', first, ...present.slice(0, 5), ...present.slice(-5)].filter(user =>
    members.has(user),
  )) {
    const { items } = await get<{ items: Record<string, unknown>[] }>(
      confab,
      await confab.token(user),
      '/v1/inbox',
    )
    const item = items.find(({ c }) => c === 'ubuntu')
    const own = posted.findLastIndex(({ from }) => from === user)
    t.match(
      item,
      {
        head: events.length,
        unread: posted.length - 1 - own,
        lastMessage: { m: posted.at(-1)!.m, text: messages.at(-1)!.text },
      },
      `inbox of ${user}`,
    )
  }

  const again = await runConfab(['import', 'irc', ...filesOf(days), '--data', data], env)
  t.equal(again.code, imported.code, again.stderr)
  t.match(
    again.stdout,
    empty.length === 0 ? /^nothing new/ : /^0 messages imported, .*, 0 joins and leaves, 0 joins added/,
  )
  t.ok(isSame((await replayLog(['--data', data])).get('ubuntu'), events), 'a second import changes nothing')
}

t.test(
  `${days.length} whole days of #ubuntu: log, timeline, search and inbox match the files`,
  { timeout: 1_800_000, skip },
  t => importsDays(t, {}),
)

t.test('an import with views in Cassandra and Elasticsearch', { timeout: 1_800_000, skip }, async t => {
  const stack = await fullStack(t)
  if (stack !== undefined) await importsDays(t, stack.env)
})

t.test(
  'an import that was killed and repeated is complete and in order',
  { timeout: 1_800_000, skip },
  async t => {
    const data = join(tempFolder(t), 'data')
    const reference = join(tempFolder(t), 'data')
    const files = filesOf(days.slice(0, 3))
    const confab = await untilReady(await spawnConfab({ data }))
    t.teardown(() => confab.stop())
    for (let tries = 0; tries < 4; tries++) {
      const child = spawn(process.execPath, ['src/cli/main.ts', 'import', 'irc', ...files, '--data', data], {
        cwd: root,
        stdio: 'ignore',
      })
      const exit = once(child, 'exit')
      await Promise.race([sleep(700 + tries * 250), exit])
      child.kill('SIGKILL')
      await exit
    }
    const again = await runConfab(['import', 'irc', ...files, '--data', data])
    const whole = await runConfab(['import', 'irc', ...files, '--data', reference])
    t.equal(again.code, whole.code, again.stderr)
    t.match(whole.stderr, /error BAD_INPUT: 1 line was not imported/, 'the message without text')
    const log = await replayLog(['--data', data])
    const wanted = await replayLog(['--data', reference])
    t.ok(isSame(log.get('ubuntu'), wanted.get('ubuntu')), 'the log equals that of an import without a kill')
  },
)
