import { type ChildProcess, spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Family } from '../../src/events/index.ts'
import { discoverLog } from '../../src/infra/nats/index.ts'
import { moveSteps } from '../../src/infra/nats/reshard/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { ackedAreStored, clientsSawTheLog, seqsAreGapless } from '../harness/invariants.ts'
import { startLoad } from '../harness/load.ts'
import { startNats } from '../harness/nats.ts'
import { replayLog, runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const root = resolve(import.meta.dirname, '../..')

/** Starts the command; `step` resolves when it begins this step. */
const startReshard = (args: readonly string[]) => {
  const child: ChildProcess = spawn(process.execPath, ['src/cli/main.ts', 'streams', 'reshard', ...args], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const closed = new Promise<number | null>(done => child.once('close', done))
  return {
    closed,
    text: () => stderr,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    step: async (step: string) => {
      for (let polls = 4_000; polls > 0 && !stderr.includes(`: ${step}\n`); polls--) await sleep(5)
    },
  }
}

t.test('confab streams reshard', { timeout: 240_000 }, async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const reshard = (...args: string[]) => runConfab(['streams', 'reshard', '--nats', nats.url, ...args])
  const layout = () => discoverLog(connection.connection)

  t.match(await reshard('--streams', '0'), { code: 2, stderr: /BAD_OPTION/ })
  t.match(await reshard('--streams', '2', '--family', 'other'), { code: 2, stderr: /BAD_OPTION/ })
  t.match(await reshard('--yes'), { code: 2, stderr: /BAD_OPTION.*--streams/ })
  t.match(await reshard('--streams', '2'), { code: 2, stderr: /BAD_OPTION.*--yes/ })
  t.match(await reshard('--resume', '--yes'), { code: 1, stderr: /NO_SUCH_OPERATION/ })

  const dry = await reshard('--streams', '2', '--dry-run', '--json')
  t.equal(dry.code, 0)
  const { moves } = JSON.parse(dry.stdout) as { moves: { partition: number; from: string; to: string }[] }
  t.equal(moves.length, 128)
  t.ok(moves.every(({ from, to }) => from === 'CONV_0' && to === 'CONV_1'))
  t.same((await layout()).streams, ['CONV_0', 'USER_0'], 'a plan changes nothing')

  const confab = await spawnConfab({
    data: join(tempFolder(t), 'confab'),
    nats: nats.url,
    secret: 'a secret of at least thirty-two bytes',
  })
  t.teardown(() => confab.stop())
  await untilReady(confab)
  const conversations = Array.from({ length: 8 }, (_, i) => `room-${i}`)
  const load = await startLoad(confab, { users: ['alice', 'bob'], conversations, pauseMs: 10 })
  t.teardown(() => Promise.all(load.clients.map(client => client.stop())))

  await t.test('a run moves the partitions', async t => {
    const { code, stdout, stderr } = await reshard('--streams', '2', '--yes', '--json')
    t.equal(code, 0, stderr)
    const { moves: done } = JSON.parse(stdout) as { moves: { refusedMs: number }[] }
    t.same(
      done.map(({ refusedMs: _, ...move }) => move),
      moves,
    )
    t.ok(
      done.every(({ refusedMs }) => refusedMs > 0),
      `${done[0]?.refusedMs} ms`,
    )
    t.same((await layout()).streams, ['CONV_0', 'CONV_1', 'USER_0'])
    t.match(await reshard('--streams', '1', '--yes'), { code: 2, stderr: /BAD_OPTION.*2 streams already/ })
    t.match(await reshard('--streams', '2', '--yes', '--json'), { code: 0, stdout: '{\n  "moves": []\n}\n' })
  })

  for (const [index, step] of moveSteps.entries())
    await t.test(`a run that is killed at the step ${step} is finished by --resume`, async t => {
      const streams = String(3 + index)
      const first = startReshard(['--nats', nats.url, '--streams', streams, '--yes'])
      await first.step(step)
      first.kill('SIGKILL')
      await first.closed
      const again = await reshard('--streams', streams, '--yes')
      // The signal may arrive after the end of the last step.
      const isOver = step === 'promote' && /as many streams already/.test(again.stderr)
      if (!isOver) {
        t.match(again, { code: 1, stderr: /OPERATION_UNFINISHED/ })
        t.match(await reshard('--resume', '--yes'), { code: 0 })
      }
      t.equal((await layout()).streams.length, 4 + index)
    })

  await t.test('Ctrl-C ends a run in order, and a second operator waits', async t => {
    const first = startReshard(['--nats', nats.url, '--streams', '3', '--family', 'user', '--yes'])
    await first.step('mirror')
    first.kill('SIGSTOP')
    t.match(await reshard('--streams', '9', '--yes'), { code: 1, stderr: /OPERATION_UNFINISHED/ })
    first.kill('SIGCONT')
    first.kill('SIGINT')
    t.match([await first.closed, first.text()], [130, /INTERRUPTED.*--resume/])
    t.match(await reshard('--resume', '--yes'), { code: 0 })
    const { streams, familyOf } = await layout()
    t.same(
      streams.filter(stream => familyOf(stream) === Family.user),
      ['USER_0', 'USER_1', 'USER_2'],
    )
  })

  await load.end()
  const log = await replayLog(['--nats', nats.url])
  ackedAreStored(t, log, load.acked)
  seqsAreGapless(t, log)
  for (let polls = 250; polls > 0; polls--) {
    const isLevel = load.clients.every(client =>
      conversations.every(c => client.head(c) === log.get(c)?.at(-1)?.seq),
    )
    if (isLevel) break
    await sleep(20)
  }
  clientsSawTheLog(t, log, load.clients)
  t.match(await runConfab(['streams', 'status', '--nats', nats.url, '--json']), { code: 0 })
  t.match(await runConfab(['streams', 'plan', '--nats', nats.url]), { code: 0, stderr: /as defined/ })
})
