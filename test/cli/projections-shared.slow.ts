import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { GenerationRow } from '../../src/cli/projections/overview.ts'
import {
  answerProjectionStatus,
  discoverLog,
  JetStreamEventLog,
  openNatsPlans,
  type WorkerStatus,
} from '../../src/infra/nats/index.ts'
import {
  firstPlan,
  type ProjectionState,
  projectionNames,
  rebuild,
  versionOf,
} from '../../src/projections/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { fullStack } from '../harness/full-stack.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const listed = async (
  t: Test,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<GenerationRow[]> => {
  const { code, stdout, stderr } = await runConfab(['projections', 'ls', '--json', ...args], env)
  t.equal(code, 0, stderr)
  return JSON.parse(stdout) as GenerationRow[]
}

t.test('the reports of several workers are one row a database', async t => {
  const nats = await startNats(t)
  const data = join(tempFolder(t), 'nothing')
  const plans = await openNatsPlans(await nats.connect())
  const version = versionOf('search')
  await plans.update('search', () => rebuild(firstPlan(version), version))
  const streamOf = (stream: string, position: number, state: ProjectionState, rate = 10) => ({
    stream,
    position,
    head: 100,
    lagEvents: 100 - position,
    aheadEvents: 0,
    missingEvents: 0,
    lagMs: 100 - position,
    state,
    deadLetters: 1,
    rate,
  })
  const generation = (number: number, streams: ReturnType<typeof streamOf>[]) => ({
    projection: 'search' as const,
    generation: number,
    version,
    role: number === 1 ? ('live' as const) : ('building' as const),
    state: 'live' as const,
    streams,
  })
  const answer = async (statuses: readonly WorkerStatus[]) => {
    t.teardown(answerProjectionStatus(await nats.connect(), () => statuses))
  }
  await answer([
    {
      worker: 'a',
      database: 'elasticsearch',
      isShared: true,
      // Lost the lease of USER_0 a moment ago.
      projections: [
        generation(1, [streamOf('CONV_0', 100, 'live'), streamOf('USER_0', 99, 'stopped')]),
        generation(2, [streamOf('CONV_0', 40, 'catching-up')]),
      ],
    },
  ])
  await answer([
    {
      worker: 'b',
      database: 'elasticsearch',
      isShared: true,
      projections: [
        generation(1, [streamOf('USER_0', 90, 'live')]),
        generation(2, [streamOf('USER_0', 90, 'paused')]),
      ],
    },
    {
      worker: 'b',
      database: 'sqlite',
      isShared: false,
      projections: [generation(1, [streamOf('CONV_0', 7, 'failing'), streamOf('USER_0', 100, 'live')])],
    },
  ])
  const rows = await listed(t, ['--nats', nats.url, '--data', data])
  t.match(rows[0], {
    projection: 'search',
    generation: 1,
    database: 'elasticsearch',
    state: 'live',
    lagEvents: 10,
    lagMs: 10,
    deadLetters: 2,
    rate: 20,
    workers: ['a', 'b'],
  })
  t.match(rows[1], { generation: 1, database: 'sqlite', state: 'failing', lagEvents: 93, workers: ['b'] })
  t.match(rows[2], {
    generation: 2,
    database: 'elasticsearch',
    role: 'building',
    state: 'paused',
    lagEvents: 70,
  })
  t.match(rows[3], { generation: 2, database: 'sqlite', state: 'stopped', workers: [] })
  t.equal(rows.length, 4)
  const early = await runConfab(['projections', 'switch', 'search', '--nats', nats.url, '--data', data])
  t.match(
    early.stdout + early.stderr,
    /queries read generation 2/,
    'a lag of less than a batch counts as level',
  )
})

t.test(
  'commands treat workers that share Cassandra and Elasticsearch as one',
  { timeout: 240_000 },
  async t => {
    const stack = await fullStack(t)
    if (stack === undefined) return
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const running: ConfabProcess[] = []
    const start = async (roles: string, name: string) => {
      const secret = 'a secret of at least thirty-two bytes'
      const args = ['--roles', roles]
      const confab = await spawnConfab({
        data: join(folder, name),
        nats: nats.url,
        secret,
        args,
        env: stack.env,
      })
      running.push(confab)
      return untilReady(confab)
    }
    t.teardown(() => Promise.all(running.map(confab => confab.stop())))
    const edge = await start('edge,commands', 'edge')
    const first = await start('projections', 'first')
    await start('projections', 'second')
    const place = ['--nats', nats.url, '--data', join(folder, 'operator')]
    const run = (...args: string[]) => runConfab(['projections', ...args, ...place], stack.env)
    const well = async (...args: string[]) => {
      const result = await run(...args)
      t.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`)
      return result
    }
    const untilRows = async (isSo: (rows: GenerationRow[]) => boolean): Promise<GenerationRow[]> => {
      for (;;) {
        const rows = await listed(t, place, stack.env)
        if (isSo(rows)) return rows
      }
    }
    const token = await edge.token('alice')
    const command = async (request: Record<string, unknown>): Promise<void> => {
      const answer = await fetch(`${edge.url}/v1/commands`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ id: '1', ...request }),
      })
      const body = (await answer.json()) as { ok: boolean }
      if (!body.ok) throw new Error(JSON.stringify(body))
    }
    await command({ t: 'create', c: 'shared', kind: 'group', members: ['bob'] })
    let isOn = true
    const chatter = (async () => {
      for (let i = 1; isOn; i++) {
        await command({ t: 'send', c: 'shared', m: `m-${i}`, text: `text ${i}` })
        await sleep(5)
      }
    })()

    const isFed = ({ state, streams }: GenerationRow) =>
      (state === 'live' || state === 'catching-up') && streams.every(({ worker }) => worker !== undefined)
    const rows = await untilRows(
      rows =>
        rows.length === projectionNames.length && rows.every(row => isFed(row) && row.workers.length === 2),
    )
    t.same(new Set(rows.map(({ database }) => database)), new Set(['cassandra', 'elasticsearch']))
    for (const view of ['timeline', 'search']) {
      t.match((await well('rebuild', view)).stderr, /generation 2 of \w+ is level/)
      // The messages continue: a generation may fall behind again before the switch, and the command says so.
      let switched = await run('switch', view, '--compare')
      while (switched.stderr.includes('error NOT_LEVEL: ')) switched = await run('switch', view, '--compare')
      t.match(switched, { code: 0, stderr: /queries read generation 2/ })
    }
    isOn = false
    await chatter
    await untilRows(rows => rows.every(row => isFed(row) && row.lagEvents === 0))
    t.match((await well('compare', 'timeline')).stderr, /generations 2 and 1 of timeline are equal/)
    for (const view of ['timeline', 'search']) await well('drop', view, '1')

    const connection = await nats.connect()
    const log = new JetStreamEventLog(connection, await discoverLog(connection.connection))
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
    const retried = await run('retry', '--all')
    t.equal(retried.code, 1)
    t.equal(retried.stderr.match(/failed again: .*JSON/gm)?.length, projectionNames.length, retried.stderr)

    await first.kill9()
    const left = await untilRows(rows => rows.every(row => isFed(row) && row.workers.length === 1))
    t.equal(new Set(left.flatMap(({ workers }) => workers)).size, 1, 'the other worker holds all streams')
  },
)
