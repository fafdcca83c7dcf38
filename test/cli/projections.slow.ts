import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { viewsFile } from '../../src/app/open-views.ts'
import { type GenerationRow, readOverview } from '../../src/cli/projections/overview.ts'
import { operateOn } from '../../src/cli/projections/projection-command.ts'
import { compileConfig } from '../../src/infra/config/index.ts'
import {
  connectNats,
  discoverLog,
  findRunningServer,
  JetStreamEventLog,
  openNatsPlans,
} from '../../src/infra/nats/index.ts'
import { type ProjectionName, projectionNames, versionOf } from '../../src/projections/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

/** A server with a data folder, and commands that use it. */
const scene = async (t: Test) => {
  const data = join(tempFolder(t), 'data')
  let confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const run = (...args: string[]) => runConfab(['projections', ...args, '--data', data])
  const well = async (...args: string[]) => {
    const result = await run(...args)
    t.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`)
    return result
  }
  const ill = async (code: string, ...args: string[]) => {
    const result = await run(...args)
    t.equal(result.code, code === 'BAD_OPTION' ? 2 : 1, args.join(' '))
    t.match(result.stderr, new RegExp(`^error ${code}: `, 'm'), args.join(' '))
    return result
  }
  const config = compileConfig({ flags: { data } })
  /** The output of `ls --json`, without a process for each call. */
  const rows = async (projection?: ProjectionName): Promise<GenerationRow[]> => {
    const nats = await connectNats({ servers: findRunningServer(data)?.url ?? '' })
    try {
      return await operateOn(config, { nats }, operation => readOverview(operation, projection))
    } finally {
      await nats.close()
    }
  }
  const untilRows = async (isSo: (rows: GenerationRow[]) => boolean): Promise<GenerationRow[]> => {
    for (;;) {
      const found = await rows()
      if (isSo(found)) return found
    }
  }
  const tokens = new Map<string, string>()
  const command = async (user: string, request: Record<string, unknown>) => {
    if (!tokens.has(user)) tokens.set(user, await confab.token(user))
    const answer = await fetch(`${confab.url}/v1/commands`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.get(user)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ id: '1', ...request }),
    })
    return (await answer.json()) as Record<string, unknown>
  }
  let sent = 0
  const send = (text: string) => command('alice', { t: 'send', c: 'lounge', m: `op-${++sent}`, text })
  /** Sends messages until the returned function is called, which returns their number. */
  const chatter = () => {
    let isOn = true
    const running = (async () => {
      const first = sent
      while (isOn) {
        const answer = await send(`chatter ${sent}`)
        if (answer.ok !== true) throw new Error(JSON.stringify(answer))
        await sleep(5)
      }
      return sent - first
    })()
    return async () => {
      isOn = false
      return running
    }
  }
  return {
    data,
    url: () => confab.url,
    run,
    well,
    ill,
    rows,
    untilRows,
    command,
    send,
    chatter,
    stop: () => confab.stop(),
    restart: async (): Promise<ConfabProcess> => {
      confab = await untilReady(await spawnConfab({ data }))
      return confab
    },
  }
}

const isLevel = ({ lagEvents, state }: GenerationRow): boolean => lagEvents === 0 && state === 'live'

t.test('pause and resume stop and continue one view only', async t => {
  const { run, well, untilRows, send, stop, restart } = await scene(t)
  await untilRows(rows => rows.length === projectionNames.length && rows.every(isLevel))
  t.match((await well('pause', 'search')).stderr, /^search is paused$/m)
  await send('while it is paused')
  const paused = await untilRows(
    rows =>
      rows.filter(isLevel).length === projectionNames.length - 1 &&
      rows.some(({ lagEvents }) => lagEvents > 0),
  )
  t.match(
    paused.find(({ projection }) => projection === 'search'),
    { state: 'paused', lagEvents: 1 },
  )
  t.match((await well('ls')).stdout, new RegExp(`^search +1 +live +${versionOf('search')} +paused +1 `, 'm'))

  await stop()
  await restart()
  const after = await untilRows(rows => rows.filter(isLevel).length === projectionNames.length - 1)
  t.equal(
    after.find(({ projection }) => projection === 'search')?.state,
    'paused',
    'a paused view stays paused over restarts',
  )
  await well('resume', 'search')
  await untilRows(rows => rows.every(isLevel))
  const unknown = await run('pause', 'searches')
  t.equal(unknown.code, 2)
  t.match(unknown.stderr, /error BAD_OPTION: .*Allowed choices are timeline, inbox/)
})

t.test('a view is rebuilt next to the live one, compared, switched to, switched back, dropped', async t => {
  const { data, well, ill, rows, untilRows, chatter, command, stop } = await scene(t)
  await untilRows(rows => rows.every(isLevel))
  await ill('NOT_READY', 'compare', 'timeline')
  const quiet = chatter()
  t.match((await well('rebuild', 'timeline')).stderr, /generation 2 of timeline is level with the log after/)
  t.match(
    (await rows('timeline')).map(({ generation, role }) => [generation, role]),
    [
      [1, 'live'],
      [2, 'building'],
    ],
  )
  await ill('GENERATION_IS_BUILDING', 'rebuild', 'timeline')
  await ill('GENERATION_IS_LIVE', 'drop', 'timeline', '1')
  await ill('NO_SUCH_GENERATION', 'switch', 'timeline', '7')
  const same = await well('compare', 'timeline')
  t.match(same.stdout, /^timeline +generation 1 +generation 2$/m)
  t.match(same.stdout, /^rows +([\d,]+) +\1$/m)
  t.match(same.stderr, /are equal/)
  await untilRows(rows => rows.every(({ state }) => state !== 'paused'))
  t.pass('the view continues')
  const warned = await well('switch', 'timeline')
  t.match(warned.stderr, /was not compared with generation 1/)
  t.match(warned.stderr, /queries read generation 2 of timeline/)
  t.match(
    (await rows('timeline')).map(({ role }) => role),
    ['kept', 'live'],
  )
  await well('switch', 'timeline', '1')
  await well('switch', 'timeline', '2', '--compare')
  t.ok((await quiet()) > 0, 'messages were sent during the rebuild')
  await untilRows(rows => rows.every(isLevel))

  // Delete the rows of a message in the live generation.
  const lost = await command('alice', { t: 'send', c: 'lounge', m: 'lost', text: 'a row that gets lost' })
  await untilRows(rows => rows.every(isLevel))
  const db = new DatabaseSync(viewsFile(data))
  t.equal(db.prepare('DELETE FROM timeline_2 WHERE seq = ?').run(Number(lost.seq)).changes, 1)
  db.close()
  const differ = await ill('GENERATIONS_DIFFER', 'compare', 'timeline')
  t.match(differ.stderr, /generations 2 and 1 of timeline differ in 1 conversations: lounge/)
  t.match(differ.stdout, /^\+ lounge .*"seq":\d+/m)
  const json = await ill('GENERATIONS_DIFFER', 'compare', 'timeline', '1', '--json')
  t.match(JSON.parse(json.stdout), { different: ['lounge'], examples: [{ c: 'lounge', only: 'b' }] })
  await ill('GENERATIONS_DIFFER', 'switch', 'timeline', '1', '--compare')
  await untilRows(rows => rows.every(({ state }) => state !== 'paused'))
  t.pass('the view continues after a difference')
  await well('switch', 'timeline', '1')
  await well('drop', 'timeline', '2')
  t.equal((await rows('timeline')).length, 1)

  await stop()
  t.match((await well('ls')).stdout, /^timeline +1 +live +2 +stopped +0 .*–$/m)
  await ill('NO_PROJECTION_WORKER', 'rebuild', 'roster')
  t.match((await well('rebuild', 'roster', '--detach')).stderr, /generation 2 of roster/)
  await ill('NOT_LEVEL', 'switch', 'roster')
  await ill('NOT_LEVEL', 'compare', 'roster')
  t.match((await well('switch', 'roster', '--force')).stderr, /queries read generation 2/)
  await well('switch', 'roster', '1')
  await well('drop', 'roster', '2')
})

t.test('an interrupted comparison resumes the view', async t => {
  const { data, well, untilRows, rows } = await scene(t)
  await untilRows(rows => rows.every(isLevel))
  await well('rebuild', 'inbox')
  const nats = await connectNats({ servers: findRunningServer(data)?.url ?? '' })
  t.teardown(() => nats.close())
  const plans = await openNatsPlans(nats)
  const compare = spawn(
    process.execPath,
    ['src/cli/main.ts', 'projections', 'compare', 'inbox', '--data', data],
    { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let stderr = ''
  compare.stderr.on('data', chunk => {
    stderr += chunk
  })
  const exit = new Promise(done => compare.once('exit', done))
  while (!(await plans.read('inbox'))?.paused) await sleep(1)
  compare.kill('SIGINT')
  t.equal(await exit, 130, stderr)
  t.match(stderr, /error INTERRUPTED: /)
  t.equal((await plans.read('inbox'))?.paused, false)
  await untilRows(rows => rows.every(isLevel))
  t.equal((await rows('inbox')).length, 2)
})

t.test('dead letters are listed with reasons, retried and discarded', async t => {
  const { data, well, ill, rows, untilRows, command, run } = await scene(t)
  await untilRows(rows => rows.every(isLevel))
  t.match((await well('dead-letters')).stderr, /no dead letters/)
  await command('alice', { t: 'create', c: 'haunted', kind: 'channel', title: 'haunted', members: [] })
  await untilRows(rows => rows.every(isLevel))
  const sql = (text: string): void => {
    const db = new DatabaseSync(viewsFile(data), { timeout: 5_000 })
    db.exec(text)
    db.close()
  }
  sql(
    "CREATE TRIGGER no BEFORE INSERT ON roster WHEN NEW.user = 'ghost' BEGIN SELECT RAISE(ABORT, 'no ghosts here'); END",
  )
  t.equal((await command('ghost', { t: 'join', c: 'haunted' })).ok, true)
  const filed = await untilRows(rows => rows.some(({ deadLetters }) => deadLetters > 0))
  t.same(
    filed.map(({ deadLetters }) => deadLetters),
    projectionNames.map(name => (name === 'roster' ? 1 : 0)),
  )
  t.match((await well('ls')).stderr, /1 dead letter: "confab projections dead-letters" shows the reasons/)
  const list = await well('dead-letters')
  t.match(list.stdout, /^ +1 +roster +CONV_0 \d+ +haunted 2 member\.joined +\d{4}-.* no ghosts here$/m)
  t.same(JSON.parse((await well('dead-letters', '--projection', 'search', '--json')).stdout), [])

  await ill('BAD_OPTION', 'retry')
  await ill('NO_SUCH_LETTER', 'retry', '1', '99')
  const left = await ill('DEAD_LETTERS_LEFT', 'retry', '1')
  t.match(left.stderr, /letter 1 \(roster, CONV_0 \d+\) failed again: no ghosts here/)
  // The tables of the new generation have no such trigger: it applies the event.
  await well('rebuild', 'roster')
  await ill('GENERATIONS_DIFFER', 'compare', 'roster')
  sql('DROP TRIGGER no')
  t.match((await well('retry', '--reason', 'GHOSTS')).stderr, /1 letter was applied/)
  t.match((await well('dead-letters')).stderr, /no dead letters/)
  t.same(
    (await rows('roster')).map(({ deadLetters }) => deadLetters),
    [0, 0],
  )
  t.match((await well('compare', 'roster')).stderr, /are equal/)
  const members = await command('alice', { t: 'members', c: 'haunted' })
  t.match(JSON.stringify(members), /ghost/)

  const nats = await connectNats({ servers: findRunningServer(data)?.url ?? '' })
  t.teardown(() => nats.close())
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  const envelope = {
    type: 'message.posted',
    version: 1,
    seq: 1,
    n: 1,
    actor: 'x',
    commandId: 'poison',
    epoch: 1,
  }
  await log.append({ family: 'conv', id: 'poisoned' }, 0, [{ envelope, data: Buffer.from('{"half') }])
  log.close()
  await untilRows(rows => rows.every(({ deadLetters }) => deadLetters === 1))
  const all = JSON.parse((await well('dead-letters', '--json')).stdout) as {
    projection: string
    reason: string
  }[]
  t.same(new Set(all.map(({ projection }) => projection)), new Set(projectionNames))
  const stubborn = await run('retry', '--all')
  t.equal(stubborn.code, 1)
  t.equal(stubborn.stderr.match(/^letter \d+ .* failed again: /gm)?.length, projectionNames.length)
  t.match((await well('discard', '--projection', 'search')).stderr, /1 letter was discarded/)
  await well('discard', '--all')
  t.match((await well('dead-letters')).stderr, /no dead letters/)
  t.ok((await rows()).every(({ state }) => state === 'live'))
})
