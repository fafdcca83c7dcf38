import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { append } from '../harness/backups.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

t.test('Ctrl-C ends "audit ls" without a part of the records', async t => {
  const nats = await startNats(t)
  let interrupt = (): unknown => undefined
  /** Interrupts the command when it connects. */
  const proxy = createServer(async near => {
    interrupt()
    await sleep(200)
    const far = connect(Number(new URL(nats.url).port), '127.0.0.1')
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) socket.on('error', () => {})
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => proxy.close())
  const url = new URL(nats.url)
  url.port = String((proxy.address() as AddressInfo).port)
  const child = spawn(process.execPath, ['src/cli/main.ts', 'audit', 'ls', '--nats', url.href])
  interrupt = () => child.kill('SIGINT')
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk
    })
  const [code] = await once(child, 'close')
  t.equal(code, 130, output)
  t.match(output, /^error INTERRUPTED: /)
})

t.test('an interrupted backup is recorded with its code, and leaves no half backup', async t => {
  const nats = await startNats(t)
  await append(await nats.connect(), ['large'], 20_000)
  const backups = join(tempFolder(t), 'backups')
  const child = spawn(process.execPath, [
    'src/cli/main.ts',
    'backup',
    backups,
    '--verify',
    '--nats',
    nats.url,
  ])
  const ended = once(child, 'close')
  while (!existsSync(backups) && child.exitCode === null) await sleep(1)
  child.kill('SIGINT')
  t.same(await ended, [130, null])
  const { stdout } = await runConfab(['audit', 'ls', '--json', '--action', 'backup', '--nats', nats.url])
  t.match(JSON.parse(stdout), [{ action: 'backup.take', outcome: 'failed', code: 'INTERRUPTED' }])
  t.same(readdirSync(backups), [])
})
