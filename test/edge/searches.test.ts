import t from 'tap'
import { Searches } from '../../src/edge/limits/searches.ts'
import type { LimitName } from '../../src/edge/ports/edge-metrics.ts'

t.test('a search that takes too long is OVERLOADED, and one that waits for it does not run', async t => {
  const refused: LimitName[] = []
  const searches = new Searches({ searches: 2, userSearches: 1, searchMs: 50 }, limit => refused.push(limit))
  const { promise: slow, resolve } = Promise.withResolvers<string>()
  let ran = 0
  const first = searches.run('eve', () => slow)
  const second = searches.run('eve', async () => ++ran)
  t.equal(await searches.run('ann', async () => 'found'), 'found', 'another user does not wait')
  await t.rejects(first, { code: 'OVERLOADED', retryAfterMs: 1_000 })
  await t.rejects(second, { code: 'OVERLOADED' })
  t.same(refused, ['search_time', 'search_time'])
  resolve('late')
  await new Promise(setImmediate)
  t.equal(ran, 0)
  t.equal(await searches.run('eve', async () => ++ran), 1, 'the slot is free again')
  await t.rejects(
    searches.run('eve', () => Promise.reject(new Error('no'))),
    /no/,
  )
})
