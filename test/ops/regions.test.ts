import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { sleep } from '../../src/base/sleep.ts'
import { findNatsServer } from '../../src/infra/nats/embedded/nats-binary.ts'
import { firstPort } from '../harness/free-ports.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('ops/regions/start.sh starts two regions and a witness, and stops them', async t => {
  const folder = tempFolder(t)
  const { path } = await findNatsServer()
  const script = spawn('sh', ['ops/regions/start.sh', String(firstPort), folder], {
    cwd: join(import.meta.dirname, '../..'),
    env: { PATH: process.env.PATH, NATS_SERVER: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(script, 'exit')
  t.teardown(async () => {
    script.kill('SIGTERM')
    await ended
  })
  let output = ''
  script.stdout.on('data', chunk => {
    output += chunk
  })
  while (!output.includes('region status')) await sleep(50)
  const passwords = join(folder, 'passwords.env')
  t.equal(statSync(passwords).mode & 0o077, 0, 'only this user reads the passwords')
  const password = /OPERATOR_PASSWORD=(\w+)/.exec(readFileSync(passwords, 'utf8'))?.[1]
  const flags = [
    '--topology',
    join(folder, 'topology.yaml'),
    '--nats',
    `nats://operator:${password}@127.0.0.1:${firstPort}`,
  ]
  let applied = await runConfab(['streams', 'apply', ...flags])
  for (let attempt = 0; applied.code !== 0 && attempt < 5; attempt++) {
    await sleep(500)
    applied = await runConfab(['streams', 'apply', ...flags])
  }
  t.equal(applied.code, 0, applied.stderr)
  const status = await runConfab(['region', 'status', ...flags])
  t.equal(status.code, 0, status.stderr)
  t.match(status.stdout, /^CONV_0 +mirror +b +0 +0 /m)

  script.kill('SIGTERM')
  t.same(await ended, [0, null], 'an orderly end')
  t.match(readFileSync(join(folder, 'a.log'), 'utf8'), /Server Exiting/)
  t.ok(existsSync(join(folder, 'a', 'jetstream')), 'the data stay')
})
