import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { runningIn } from '../../src/app/ops/system-state.ts'
import type { AuditRecord } from '../../src/audit/index.ts'
import { screenText } from '../../src/cli/top/screen-text.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { RawClient } from '../harness/raw-client.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('top: once, as JSON, and live in a terminal', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const client = await RawClient.open(`${confab.url.replace('http', 'ws')}/v1/ws`)
  t.teardown(() => client.close())
  await client.ok('hello', { token: await confab.token('alice') })
  await client.ok('create', { c: 'kitchen', kind: 'group', title: 'Kitchen', members: ['ben'] })
  const run = (...args: string[]) => runConfab(['top', ...args, '--data', data])

  const document = await run('--once', '--json')
  t.equal(document.code, 0, document.stderr)
  const state = JSON.parse(document.stdout)
  t.equal(document.stdout, `${JSON.stringify(state, undefined, 2)}\n`)
  t.match(state, {
    at: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    edges: [{ process: /\/\d+$/, sockets: 1, rate: Number }],
    projections: Array,
    deadLetters: {},
    operations: [],
  })
  t.match(
    state.streams.find((one: { stream: string }) => one.stream === 'CONV_0'),
    { rate: Number, messages: Number, isLed: true },
  )
  t.notOk('regions' in state, 'unknown values are omitted')
  t.ok(state.projections.some((one: { projection: string }) => one.projection === 'inbox'))

  const once = await run('--once')
  t.equal(once.code, 0, once.stderr)
  for (const title of ['Streams', 'Edge nodes', 'Projections', 'Dead letters', 'Running operations'])
    t.match(once.stdout, new RegExp(`^${title}$`, 'm'))
  t.notOk(once.stdout.includes('\x1b'), 'no colours in a pipe')
  for (const row of once.stdout.split('\n')) t.ok(row.length <= 80, row)

  t.match(await run('--json'), { code: 2, stdout: '', stderr: /^error BAD_OPTION: --json: / })
  t.match(await run(), { code: 2, stdout: '', stderr: /^error BAD_OPTION: .*--once/ })
  t.match(await runConfab(['top', '--once', '--data', join(data, 'nothing')]), {
    code: 1,
    stderr: /NO_SERVER/,
  })

  const hasScript = spawnSync('script', ['--version']).status === 0
  for (const [key, code] of [
    ['q', 0],
    ['\x03', 130],
  ] as const)
    await t.test(`live until ${JSON.stringify(key)}`, { skip: !hasScript && 'no script(1)' }, async t => {
      const command = `stty cols 80 rows 40; exec ${process.execPath} src/cli/main.ts top --data ${data}`
      const child = spawn('script', ['-qec', command, '/dev/null'], {
        env: { ...process.env, NO_COLOR: '1' },
      })
      t.teardown(() => child.kill())
      let output = ''
      let isAsked = false
      child.stdout.on('data', chunk => {
        output += chunk
        if (isAsked || output.split('Running operations').length < 3) return
        isAsked = true
        child.stdin.write(key)
      })
      const exit = await new Promise(resolve => child.once('exit', resolve))
      t.equal(exit, code, output.slice(-300))
      t.ok(output.includes('\x1b[?1049h'), 'alternate screen')
      const [, after = ''] = output.split('\x1b[?1049l')
      t.equal(output.split('\x1b[?1049l').length, 2, 'restored once')
      t.notMatch(after, /Streams/)
      t.notOk(output.includes('\x1b[1m'), 'no colours with NO_COLOR')
      for (const row of stripVTControlCharacters(output.split('\x1b[?1049l')[0]!).split('\r\n'))
        t.ok(row.length <= 80, row)
    })
})

t.test('the view is no wider than the terminal, and shows no control characters', async t => {
  const text = screenText(
    {
      at: '2026-01-02T03:04:05.678Z',
      streams: [{ stream: 'S'.repeat(50), messages: 1e12, bytes: 1e15, isLed: true, leader: 'n'.repeat(60) }],
      edges: [{ process: `evil\x1b[2J${'x'.repeat(90)}`, sockets: 1e6 }],
      operations: [
        { operation: 'streams.apply', stream: '\x07', step: 'started', at: '2026-01-02T03:04:05.678Z' },
      ],
    },
    80,
  )
  t.notMatch(stripVTControlCharacters(text), /(?!\n)\p{Cc}/u)
  t.notOk(text.includes('\x1b[2J'))
  for (const row of stripVTControlCharacters(text).split('\n')) t.ok(row.length <= 80, row)
  t.match(stripVTControlCharacters(text), /^Projections\nnot available$/m)
})

t.test('running operations are those without an end, of the last day', async t => {
  const record = (request: string, outcome: string, at: string) =>
    ({ request, outcome, at, action: 'backup', target: 'stream:CONV_0' }) as unknown as AuditRecord
  const at = '2026-01-02T03:00:00.000Z'
  const records = [
    record('old', 'started', '2026-01-01T00:00:00.000Z'),
    record('ended', 'started', at),
    record('ended', 'failed', at),
    record('runs', 'started', at),
  ]
  t.same(runningIn(records, Date.parse('2026-01-02T04:00:00.000Z')), [
    { operation: 'backup', stream: 'CONV_0', step: 'started', at },
  ])
})
