import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startNats } from '../harness/nats.ts'

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
