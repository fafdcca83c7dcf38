import t from 'tap'
import { openNatsPlans } from '../../../src/infra/nats/index.ts'
import { testPlanStore } from '../../contracts/plan-store.ts'
import { startNats } from '../../harness/nats.ts'

t.test('plans', async t =>
  testPlanStore(t, async t => {
    const nats = await startNats(t)
    return async () => openNatsPlans(await nats.connect())
  }),
)

t.test('plans survive the server', async t => {
  const nats = await startNats(t)
  const plans = await openNatsPlans(await nats.connect())
  await plans.update('inbox', () => ({ paused: true, live: 1, generations: [], next: 2 }))
  const told: boolean[] = []
  const unwatch = await plans.watch((_, { paused }) => told.push(paused))
  t.teardown(unwatch)
  await nats.kill9()
  await nats.restart()
  const deadline = performance.now() + 20_000
  for (;;)
    try {
      await plans.update('inbox', plan => plan && { ...plan, paused: false })
      break
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  while (told.length < 2) await new Promise(resolve => setTimeout(resolve, 10))
  t.same(told, [true, false])
})
