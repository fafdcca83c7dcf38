import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ProcessRole } from '../../src/infra/nats/rights/rights.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { environmentOf } from '../harness/nats-users.ts'
import { Outsider } from '../harness/outsider.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const secret = 'a secret of at least thirty-two bytes'

t.test('a system whose processes have the rights of their roles', { timeout: 120_000 }, async t => {
  const nats = await startNats(t, { hasUsers: true, streams: false })
  const folder = tempFolder(t)
  const admin = environmentOf(nats.port, 'admin')
  const applied = await runConfab(['streams', 'apply'], admin)
  t.equal(applied.code, 0, applied.stderr)
  const start = async (role: ProcessRole, name: string): Promise<ConfabProcess> => {
    const confab = await spawnConfab({
      data: join(folder, name),
      secret,
      env: environmentOf(nats.port, role),
      args: ['--roles', role],
    })
    t.teardown(() => confab.stop())
    return await untilReady(confab)
  }
  const views = await start('projections', 'views')
  const commands = await start('commands', 'commands')
  const edge = await start('edge', 'views')
  const processes = [views, commands, edge]

  const alice = new Outsider('alice', [edge.url], await edge.token('alice'))
  const bob = new Outsider('bob', [edge.url], await edge.token('bob'))
  for (const client of [alice, bob]) client.expect('tea')
  await alice.command('create', { c: 'tea', kind: 'group', members: ['bob'], key: 'k' })
  await alice.command('send', { c: 'tea', m: 'm1', text: 'ginger' })
  while (bob.head('tea') < 2) await sleep(10)
  await Promise.all([alice.stop(), bob.stop()])
  t.same(nats.violations(), [])
  for (const confab of processes) t.notMatch(confab.output(), 'NATS_RIGHTS')
})
