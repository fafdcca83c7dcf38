import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { findRunningServer, startNatsServer } from '../src/infra/nats/index.ts'
import { tempFolder } from './harness/temp-folder.ts'

const waitMs = 15_000

/** A process that uses the nats-server of a data folder. */
const attach = async (t: Test, dataDir: string) => {
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, 'harness/attach-nats.ts'), dataDir],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  createInterface({ input: child.stdout! }).on('line', line => lines.push(line))
  const exit = once(child, 'exit')
  /** Whether the process has printed a line this many times, within the time. */
  const prints = async (line: string, times: number): Promise<boolean> => {
    for (const end = performance.now() + waitMs; performance.now() < end; await sleep(20))
      if (lines.filter(one => one === line).length >= times) return true
    return false
  }
  t.ok(await prints('open', 1))
  return {
    prints,
    stop: async (): Promise<number | null | 'hangs'> => {
      child.kill('SIGTERM')
      const exited = exit.then(([code]) => code as number | null)
      return Promise.race([exited, sleep(waitMs, 'hangs' as const, { ref: false })])
    },
  }
}

t.test(
  'a second process reconnects after the owner restarts the nats-server, and stops at SIGTERM',
  async t => {
    const dataDir = realpathSync(tempFolder(t))
    const server = await startNatsServer({ dataDir })
    t.teardown(() => server.stop())
    const second = await attach(t, dataDir)
    for (let round = 1; round <= 2; round++) {
      const { pid } = server
      process.kill(pid, 'SIGKILL')
      t.ok(await second.prints('connected', round), `reconnected ${round} times`)
      t.not(server.pid, pid, 'the owner restarted its server')
    }
    t.equal(await second.stop(), 0)
  },
)

t.test('a second process starts a server at the same address after the owner has stopped', async t => {
  const dataDir = realpathSync(tempFolder(t))
  const server = await startNatsServer({ dataDir })
  const { url } = server
  const second = await attach(t, dataDir)
  await server.stop()
  t.ok(await second.prints('connected', 1))
  t.equal(findRunningServer(dataDir)?.url, url)
  t.equal(await second.stop(), 0)
  t.equal(findRunningServer(dataDir), undefined)
})
