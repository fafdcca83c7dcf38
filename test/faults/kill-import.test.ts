import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { seqsAreGapless } from '../harness/invariants.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')
const conversations = 20
const lines = 20_000

/** One conversation has half of all lines, so both batches and single appends are interrupted. */
const line = (i: number) => ({
  c: i % 2 === 0 ? 'room-0' : `room-${i % conversations}`,
  m: `line-${i}`,
  from: `user-${i % 37}`,
  at: new Date(1_500_000_000_000 + i * 1000).toISOString(),
  text: `line ${i} “as it is” ${'\u{1f375}'.repeat(i % 3)}`,
})

t.test(
  'an import that is killed repeatedly, and its nats-server too, ends complete',
  { timeout: 300_000 },
  async t => {
    const folder = tempFolder(t)
    const data = join(folder, 'data')
    const file = join(folder, 'lines.ndjson')
    writeFileSync(file, Array.from({ length: lines }, (_, i) => `${JSON.stringify(line(i))}\n`).join(''))
    const confab = await untilReady(await spawnConfab({ data, port: await freePort() }))
    t.teardown(() => confab.stop())

    for (const victim of ['import', 'nats', 'import', 'nats', 'import']) {
      const args = ['src/cli/main.ts', 'import', 'ndjson', file, '--data', data]
      const child: ChildProcess = spawn(process.execPath, args, { cwd: root, stdio: 'ignore' })
      const exit = once(child, 'exit')
      await Promise.race([sleep(600 + Math.random() * 900), exit])
      if (victim === 'nats') {
        const { pid } = JSON.parse(readFileSync(join(data, 'nats.json'), 'utf8')) as { pid: number }
        process.kill(pid, 'SIGKILL')
        await Promise.race([sleep(500 + Math.random() * 500), exit])
      }
      child.kill('SIGKILL')
      await exit
    }
    const { code, stderr } = await runConfab(['import', 'ndjson', file, '--data', data])
    t.equal(code, 0, stderr)

    const check = async (name: string) => {
      const log = await replayLog(['--data', data])
      const wanted = new Map<string, ReturnType<typeof line>[]>()
      for (let i = 0; i < lines; i++) {
        const messages = wanted.get(line(i).c) ?? []
        messages.push(line(i))
        wanted.set(line(i).c, messages)
      }
      for (const c of log.keys()) if (!wanted.has(c)) log.delete(c)
      seqsAreGapless(t, log)
      for (const [c, messages] of wanted) {
        const posted = (log.get(c) ?? []).filter(({ type }) => type === 'message.posted')
        const found = posted.map(({ c, m, from, at, text }) => ({ c, m, from, at, text }))
        t.same(found, messages, `${name}: ${c} has its ${messages.length} messages once, in the file's order`)
      }
      return [...log.values()].reduce((sum, events) => sum + events.length, 0)
    }
    const before = await check('after the kills')
    t.equal((await runConfab(['import', 'ndjson', file, '--data', data])).code, 0)
    t.equal(await check('after one more import'), before, 'which changed nothing')
  },
)
