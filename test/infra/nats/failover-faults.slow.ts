import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { Family } from '../../../src/events/index.ts'
import { failoverSteps, switchOverSteps } from '../../../src/infra/nats/regions/region-journal.ts'
import { applied, startRegions } from '../../harness/nats-regions.ts'
import {
  changeHomes,
  checkRegions,
  homeIn,
  type Interruption,
  interruptedHomes,
  resumeHomes,
} from '../../harness/region-operator.ts'
import { NaiveClient, openWriter } from '../../harness/region-writer.ts'

const interruption = fc.record({
  how: fc.constantFrom('abort' as const, 'kill' as const),
  afterMs: fc.constantFrom(0, 1, 3, 10, 30, 100),
})

/** One round: a cut, or none, during a change of homes that may be interrupted. */
const round = fc.record({
  change: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('switch-over' as const),
        step: fc.constantFrom(...switchOverSteps),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('failover' as const),
        step: fc.constantFrom(...failoverSteps),
      }),
    },
  ),
  interruption: fc.option(interruption),
  cut: fc.option(fc.record({ region: fc.constantFrom('a', 'b', 'c'), ms: fc.constantFrom(20, 200, 2_000) })),
})

t.test('random cuts, changes of homes and interruptions', async t => {
  const servers = await startRegions(t, { delayMs: 5 })
  const open = await applied(servers)
  const writers = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
  const clients = Array.from(
    { length: 5 },
    (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, writers, 20),
  )
  const untilAckedBy = async (region: string): Promise<void> => {
    const count = ({ acked }: NaiveClient): number => acked.filter(one => one.region === region).length
    const before = clients.map(count)
    while (clients.some((client, n) => count(client) < before[n]! + 2)) await sleep(10)
  }
  await untilAckedBy('a')
  for (const { change, interruption, cut } of fc.sample(round, { numRuns: 12, seed: 7 })) {
    const from = (await homeIn(open, 'CONV_0'))!
    const to = from === 'a' ? 'b' : 'a'
    t.comment(JSON.stringify({ to, change, interruption, cut }))
    const { kind, step } = change
    const healed =
      cut === null
        ? Promise.resolve()
        : (async () => {
            servers.region(cut.region).link.hold(true)
            await sleep(cut.ms)
            servers.region(cut.region).link.hold(false)
          })()
    if (interruption === null)
      await changeHomes(servers, { kind, to }).catch(error => t.comment(String(error)))
    else await interruptedHomes(servers, { kind, to }, { ...interruption, step } satisfies Interruption)
    await healed
    // Until the change is made, or nothing of it was.
    for (let attempt = 0; (await homeIn(open, 'CONV_0')) !== to; attempt++) {
      if (attempt > 5) return t.fail('not finished')
      await resumeHomes(servers).catch(() =>
        changeHomes(servers, { kind, to }).catch(error => t.comment(String(error))),
      )
    }
    await resumeHomes(servers).catch(() => {})
    if (kind === 'failover') await changeHomes(servers, { kind: 'rejoin', to: from })
    await untilAckedBy(to)
  }
  await Promise.all(clients.map(client => client.stop()))
  await checkRegions(t, servers, open, clients, 'all')
})
