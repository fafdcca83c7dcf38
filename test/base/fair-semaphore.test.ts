import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { FairSemaphore } from '../../src/base/fair-semaphore.ts'

t.test('never more jobs than the width, nor than a key may have, and every job runs', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), turns: fc.nat(3), fails: fc.boolean() }),
        {
          maxLength: 60,
        },
      ),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 3 }),
      async (jobs, width, perKey) => {
        const semaphore = new FairSemaphore({ total: width, share: perKey })
        const running = new Map<string, number>()
        let all = 0
        const outcomes = await Promise.allSettled(
          jobs.map(({ key, turns, fails }, index) =>
            semaphore.run(key, async () => {
              running.set(key, (running.get(key) ?? 0) + 1)
              all++
              if (all > width) throw new Error(`${all} jobs`)
              if (running.get(key)! > perKey) throw new Error(`${running.get(key)} jobs of ${key}`)
              for (let n = 0; n < turns; n++) await turn()
              all--
              running.set(key, running.get(key)! - 1)
              if (fails) throw new Error('as asked')
              return index
            }),
          ),
        )
        for (const [index, outcome] of outcomes.entries()) {
          if (
            outcome.status === 'fulfilled' ? outcome.value !== index : outcome.reason.message !== 'as asked'
          )
            throw new Error(`job ${index}: ${JSON.stringify(outcome)}`)
        }
      },
    ),
    { numRuns: 200 },
  )
  t.end()
})

t.test('a key with many jobs delays another key by the jobs that run, not by those that wait', async t => {
  const semaphore = new FairSemaphore({ total: 2, share: 2 })
  const order: string[] = []
  const job = (name: string) => async () => {
    order.push(name)
    await turn()
  }
  const busy = Array.from({ length: 10 }, (_, n) => semaphore.run('busy', job(`busy ${n}`)))
  await semaphore.run('other', job('other'))
  t.ok(order.indexOf('other') <= 3, String(order))
  await Promise.all(busy)
  t.same(
    order.filter(name => name !== 'other'),
    Array.from({ length: 10 }, (_, n) => `busy ${n}`),
    'the jobs of one key start in order',
  )
})
