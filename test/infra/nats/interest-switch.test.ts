import fc from 'fast-check'
import t from 'tap'
import {
  type FeedLoad,
  InterestSwitch,
  maxConversations,
} from '../../../src/infra/nats/feed/interest-switch.ts'

const load = (more: Partial<FeedLoad> = {}): FeedLoad => ({
  events: 0,
  share: 0,
  conversations: 100,
  arrivals: 0,
  ...more,
})

/** Returns the decision after this many observations of a constant load. */
const settled = (decider: InterestSwitch, seen: FeedLoad, looks = 20): boolean => {
  let isNarrow = false
  for (let look = 0; look < looks; look++) isNarrow = decider.isNarrow(seen)
  return isNarrow
}

t.test('where the costs are equal', async t => {
  const decide = (more: Partial<FeedLoad>): boolean => settled(new InterestSwitch(), load(more))
  t.notOk(decide({}), 'nothing happens')
  t.notOk(decide({ events: 1_000 }), 'a small system')
  t.ok(decide({ events: 100_000 }), 'a large system without local interest')
  t.ok(decide({ events: 100_000, share: 0.1 }), 'a tenth')
  t.notOk(decide({ events: 100_000, share: 1 }), 'all of it')
  t.notOk(decide({ events: 100_000, conversations: maxConversations + 1 }), 'too many conversations')
  t.notOk(decide({ events: 30_000, arrivals: 10_000 }), 'so many come that subscribing costs more')
})

t.test('a single observation changes nothing', async t => {
  const decider = new InterestSwitch()
  const [calm, busy] = [load(), load({ events: 200_000 })]
  t.notOk(settled(decider, busy, 4))
  t.notOk(decider.isNarrow(calm))
  t.notOk(settled(decider, busy, 4))
  t.ok(decider.isNarrow(busy))
  t.ok(settled(decider, calm, 4))
  t.ok(decider.isNarrow(busy))
  t.notOk(settled(decider, calm))
})

t.test('after a failure the count starts again', async t => {
  const decider = new InterestSwitch()
  const busy = load({ events: 200_000 })
  t.ok(settled(decider, busy))
  decider.reset()
  t.notOk(settled(decider, busy, 4))
  t.ok(decider.isNarrow(busy))
})

t.test(
  'at a constant load it switches at most once, and more events never favour the wide feed',
  async () => {
    const loads = fc.record({
      events: fc.integer({ min: 0, max: 500_000 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      conversations: fc.integer({ min: 0, max: 2 * maxConversations }),
      arrivals: fc.integer({ min: 0, max: 20_000 }),
    })
    fc.assert(
      fc.property(loads, loads, (before, after) => {
        const decider = new InterestSwitch()
        let last = settled(decider, before)
        let changes = 0
        for (let look = 0; look < 30; look++) {
          const now = decider.isNarrow(after)
          if (now !== last) changes++
          last = now
        }
        return changes <= 1
      }),
    )
    fc.assert(
      fc.property(loads, fc.integer({ min: 1, max: 10 }), (seen, times) => {
        const few = settled(new InterestSwitch(), { ...seen, share: seen.share / 2 })
        const many = settled(new InterestSwitch(), {
          ...seen,
          share: seen.share / 2,
          events: seen.events * times,
        })
        return !few || many
      }),
    )
  },
)
