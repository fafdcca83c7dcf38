import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Family } from '../../src/events/index.ts'
import { applied, startRegions } from '../harness/nats-regions.ts'
import { checkRegions, homeIn } from '../harness/region-operator.ts'
import { NaiveClient, openWriter, untilLease } from '../harness/region-writer.ts'
import { runConfab } from '../harness/replay.ts'

const servers = await startRegions(t, { delayMs: 5 })
const flags = ['--topology', servers.topologyFile, '--nats', servers.region('a').url]
const region = (...args: string[]) => runConfab(['region', ...args, ...flags])
const open = await applied(servers)
const writers = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
await untilLease(writers[0]!, 'CONV_0')
const clients = Array.from(
  { length: 3 },
  (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, writers, 20),
)
t.teardown(() => Promise.all(clients.map(client => client.stop())))

const untilAcked = async (): Promise<void> => {
  const before = clients.map(({ acked }) => acked.length)
  while (clients.some(({ acked }, n) => acked.length < before[n]! + 2)) await sleep(10)
}

interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | null; stderr: string }>
}

/** Starts a command. Sends a signal to it as soon as it says that a step begins. Resolves when that was sent. */
const signalAt = (step: string, signal: NodeJS.Signals, ...args: string[]): Promise<Started> => {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'region', ...args, ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  const ended = new Promise<{ code: number | null; stderr: string }>(resolve =>
    child.once('close', code => resolve({ code, stderr })),
  )
  return new Promise(resolve => {
    let isSent = false
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString()
      if (isSent || !new RegExp(` s {2}${step} `).test(stderr)) return
      isSent = true
      child.kill(signal)
      resolve({ child, ended })
    })
    void ended.then(() => resolve({ child, ended }))
  })
}

t.test('a switch-over whose process is killed is finished by --resume', async t => {
  for (const step of ['freeze', 'promote']) {
    const to = (await homeIn(open, 'CONV_0')) === 'a' ? 'b' : 'a'
    const { ended } = await signalAt(step, 'SIGKILL', 'switch-over', '--all', '--to', to, '--yes')
    await ended
    const again = await region('switch-over', '--all', '--to', to, '--yes')
    t.match(again, { code: 1, stderr: /OPERATION_UNFINISHED: .*"confab region switch-over --resume"/ }, step)
    const apply = await runConfab(['streams', 'apply', ...flags])
    t.match(apply, { code: 1, stderr: /NATS_STREAMS: a switch-over of .* is not finished/ }, step)
    const resumed = await region('switch-over', '--resume', '--yes')
    t.equal(resumed.code, 0, resumed.stderr)
    t.equal(await homeIn(open, 'CONV_0'), to)
    await untilAcked()
  }
  await checkRegions(t, servers, open, clients, 'after')
})

t.test('a switch-over whose process is stopped, and continues after another has finished it', async t => {
  const to = (await homeIn(open, 'CONV_0')) === 'a' ? 'b' : 'a'
  const { child, ended } = await signalAt('freeze', 'SIGSTOP', 'switch-over', '--all', '--to', to, '--yes')
  t.teardown(() => child.kill('SIGKILL'))
  const resumed = await region('switch-over', '--resume', '--yes')
  t.equal(resumed.code, 0, resumed.stderr)
  await untilAcked()
  child.kill('SIGCONT')
  const { code, stderr } = await ended
  t.equal(code, 1)
  t.match(stderr, /OPERATION_RUNNING/)
  t.match(await region('switch-over', '--resume', '--yes'), { code: 1, stderr: /NO_SUCH_OPERATION/ })
  t.equal(await homeIn(open, 'CONV_0'), to)
  await untilAcked()
  await checkRegions(t, servers, open, clients, 'after')
})

t.test('a switch-over whose new home is lost ends, and the old home takes events again', async t => {
  const home = (await homeIn(open, 'CONV_0'))!
  const to = home === 'a' ? 'b' : 'a'
  const { ended } = await signalAt('freeze', 'SIGKILL', 'switch-over', '--all', '--to', to, '--yes')
  await ended
  await servers.region(to).stop()
  t.match(await region('switch-over', '--resume', '--yes'), { code: 1, stderr: /NO_SERVER: .* has ended/ })
  await untilAcked()
  t.match(await region('switch-over', '--resume', '--yes'), { code: 1, stderr: /NO_SUCH_OPERATION/ })
  await servers.region(to).start()
  await checkRegions(t, servers, open, clients, 'after')
})

t.test(
  'Ctrl-C names the next command, and a failover takes the place of a switch-over without its home',
  async t => {
    await Promise.all(clients.map(client => client.stop()))
    const home = (await homeIn(open, 'CONV_0'))!
    const to = home === 'a' ? 'b' : 'a'
    const { ended } = await signalAt('freeze', 'SIGINT', 'switch-over', '--all', '--to', to, '--yes')
    t.match(await ended, { code: 130, stderr: /INTERRUPTED.*"confab region switch-over --resume"/ })
    t.equal((await region('switch-over', '--resume', '--yes')).code, 0)
    const { ended: killed } = await signalAt(
      'freeze',
      'SIGKILL',
      'switch-over',
      '--all',
      '--to',
      home,
      '--yes',
    )
    await killed
    await servers.region(to).stop()
    t.match(await region('switch-over', '--resume', '--yes'), { code: 1 })
    t.match(await region('failover', 'USER_0', '--to', home, '--yes'), {
      code: 1,
      stderr: /OPERATION_UNFINISHED/,
    })
    const failover = await region('failover', '--all', '--to', home, '--yes')
    t.equal(failover.code, 0, failover.stderr)
    t.equal(
      await homeIn(
        open.filter(one => one.region.name !== to),
        'CONV_0',
      ),
      home,
    )
    await untilLease(writers.find(one => one.region === home)!, 'CONV_0')
  },
)
