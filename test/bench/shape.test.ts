import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../bench/harness/texts.ts'
import { ircShape } from '../../bench/load/irc-shape.ts'
import { arrivals, gaps, weighted, zipfSizes } from '../../bench/load/shape.ts'

t.test('sizes of conversations follow the logs, and none is smaller than two', async t => {
  const sizes = zipfSizes(200, 1000)
  t.equal(sizes[0], 1000)
  t.equal(sizes[99], Math.round(1000 * 100 ** -ircShape.sizeExponent))
  t.same(zipfSizes(3, 2), [2, 2, 2])
})

t.test('a double weight is drawn twice as often', async t => {
  const draw = weighted([1, 2, 0, 1], seededRandom(1))
  const counts = [0, 0, 0, 0]
  for (let n = 0; n < 40_000; n++) counts[draw()]!++
  t.ok(Math.abs(counts[1]! / counts[0]! - 2) < 0.1, `${counts}`)
  t.equal(counts[2], 0)
})

t.test('gaps have a mean of one and the unevenness of the logs', async t => {
  const next = gaps(seededRandom(1))
  const drawn = Array.from({ length: 200_000 }, next)
  const mean = drawn.reduce((sum, gap) => sum + gap, 0) / drawn.length
  t.ok(Math.abs(mean - 1) < 0.03, `mean ${mean}`)
  const variance = drawn.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / drawn.length
  t.ok(variance > 1, 'more than a Poisson process has')
})

t.test('arrivals have the requested number, order, duration and speakers', async t => {
  const talk = fc.record({
    weight: fc.integer({ min: 1, max: 100 }),
    speakers: fc.integer({ min: 1, max: 50 }),
  })
  fc.assert(
    fc.property(
      fc.array(talk, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 500 }),
      fc.integer(),
      (talks, rate, seed) => {
        const plan = { rate, seconds: 2, seed }
        const drawn = arrivals(talks, plan)
        t.equal(drawn.length, rate * 2)
        t.ok(drawn.every(({ at }, n) => at >= (drawn[n - 1]?.at ?? 0) && at < 2000))
        t.ok(drawn.every(({ talk, speaker }) => speaker < talks[talk]!.speakers))
        t.same(arrivals(talks, plan), drawn, 'the same for the same seed')
      },
    ),
    { numRuns: 30 },
  )
})
