import { jetstream } from '@nats-io/jetstream'
import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { regionsStatus } from '../../../src/infra/nats/regions/region-status.ts'
import { applied, definitions, startRegions } from '../../harness/nats-regions.ts'

const cutMs = Number(process.env.CUT_MS ?? 6_000)

for (const cut of ['link', 'routes'] as const)
  t.test(`a black hole on the ${cut} of the mirror's region`, async t => {
    const servers = await startRegions(t, { delayMs: 40 })
    const open = await applied(servers)
    const [home, mirror] = await Promise.all(['a', 'b'].map(name => servers.region(name).connect()))
    const [atHome, atMirror] = await Promise.all(
      [home!, mirror!].map(({ connection }) => openManager(connection)),
    )
    const js = jetstream(home!.connection)
    const publish = async (count: number) => {
      for (let n = 0; n < count; n++) await js.publish(`epoch.1.conv.1.c${n % 10}`, 'x'.repeat(200))
    }
    const lastOf = async (manager = atMirror!) => (await manager.streams.info('CONV_0')).state.last_seq
    const untilLevel = async () => {
      const last = await lastOf(atHome)
      while ((await lastOf()) < last) await sleep(20)
    }
    const statusOf = async () => {
      const { problems, streams } = await regionsStatus(servers.topology, open, definitions)
      return { problems, mirror: streams.find(({ stream }) => stream === 'CONV_0')?.mirrors[0] }
    }
    await publish(100)
    await untilLevel()
    t.same((await statusOf()).problems, [])

    servers.region('b')[cut].hold(true)
    const endsAt = Date.now() + cutMs
    await publish(200)
    const during = await statusOf()
    t.match(during.mirror, { region: 'b', last: 100, behind: 200, moving: false, stalled: true })
    t.ok((during.mirror?.seconds ?? 0) >= 1, `the recovery point is ${during.mirror?.seconds} s old`)
    t.match(during.problems, [
      /^the mirror of CONV_0 in b is stalled: 200 messages and [\d.]+ s behind its home$/,
    ])
    t.equal(during.problems.length, 1)
    const info = await atMirror!.streams.info('CONV_0')
    t.equal(info.mirror?.lag, 0, 'JetStream itself sees no lag')
    await sleep(Math.max(0, endsAt - Date.now()))

    servers.region('b')[cut].hold(false)
    const healedAt = Date.now()
    while ((await lastOf()) === 100) await sleep(20)
    const movedAt = Date.now()
    await untilLevel()
    t.comment(
      `cut ${cutMs} ms: moved after ${movedAt - healedAt} ms, level after ${Date.now() - healedAt} ms`,
    )
    const { problems } = await regionsStatus(servers.topology, open, definitions, { hash: 300 })
    t.same(problems, [], 'level and equal')
  })
