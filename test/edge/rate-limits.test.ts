import fc from 'fast-check'
import t from 'tap'
import { addressKey, clientAddress } from '../../src/edge/limits/connection-limits.ts'
import { Meter, Rate, Rates } from '../../src/edge/limits/rates.ts'
import { RecentKeys } from '../../src/edge/limits/recent-keys.ts'

const requests = fc.array(
  fc.record({ pause: fc.double({ min: 0, max: 3_000, noNaN: true }), cost: fc.integer({ min: 1, max: 40 }) }),
  { minLength: 1, maxLength: 80 },
)

t.test('in any time at most a burst plus rate × time passes', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1_000, max: 5_000 }),
      requests,
      (perSecond, burstMs, sequence) => {
        const burst = (perSecond * burstMs) / 1000
        const rate = new Rate({ perSecond, burstMs })
        const passed: { at: number; cost: number }[] = []
        let kept = 0
        let now = 1e6
        for (const { pause, cost } of sequence) {
          now += pause
          const after = rate.after(kept, now, cost)
          if (rate.waitMs(after, now) > 0) continue
          kept = after
          passed.push({ at: now, cost: Math.min(cost, burst) })
        }
        for (const [from, { at: start }] of passed.entries()) {
          let sum = 0
          for (const { at, cost } of passed.slice(from)) {
            sum += cost
            if (sum > burst + (perSecond * (at - start)) / 1000 + 1e-3) return false
          }
        }
        return true
      },
    ),
    { numRuns: 500 },
  )
})

/** Below the resolution of times this large, ms. */
const nothing = 1e-6

t.test('a request passes after the given wait, and not before', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 500 }), requests, (perSecond, sequence) => {
      const rate = new Rate({ perSecond, burstMs: 1_000 })
      let kept = 0
      let now = 1e6
      for (const { pause, cost } of sequence) {
        now += pause
        const wait = rate.waitMs(rate.after(kept, now, cost), now)
        if (wait > 0) {
          if (wait > nothing && rate.waitMs(rate.after(kept, now + wait / 2, cost), now + wait / 2) <= 0)
            return false
          now += wait + nothing
        }
        const after = rate.after(kept, now, cost)
        if (rate.waitMs(after, now) > 0) return false
        kept = after
      }
      return true
    }),
    { numRuns: 500 },
  )
})

t.test(
  'requests and bytes are counted together or not at all; 0 is unlimited; returned ones are available again',
  async t => {
    const rates = new Rates({ requests: 10, bytes: 100, burstMs: 1_000 })
    const meter = new Meter()
    t.equal(rates.take(meter, 5, 60), 0)
    const { requests } = meter
    t.equal(Math.round(rates.take(meter, 5, 60)), 200, '20 bytes too many, 10 ms each')
    t.equal(meter.requests, requests)
    rates.giveBack(meter, 60)
    t.equal(rates.take(meter, 5, 100), 0)
    const free = new Rates({ requests: 0, bytes: 0, burstMs: 1_000 })
    for (let n = 0; n < 10_000; n++) t.equal(free.take(meter, 5, 1e9), 0)
  },
)

t.test('never more keys than allowed, and keys in use stay', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 4, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 400 }),
      (most, keys) => {
        let made = 0
        const recent = new RecentKeys(most, () => made++)
        const mine = recent.of('mine')
        for (const key of keys) {
          recent.of(String(key))
          if (recent.of('mine') !== mine || recent.size > most) return false
        }
        return true
      },
    ),
  )
})

t.test('the address of a connection', async t => {
  for (const [peer, forwarded, proxies, address] of [
    ['10.0.0.1', '', 0, '10.0.0.1'],
    ['10.0.0.1', '9.9.9.9', 0, '10.0.0.1'],
    ['10.0.0.1', '', 1, '10.0.0.1'],
    ['10.0.0.1', '9.9.9.9, 1.2.3.4', 1, '1.2.3.4'],
    ['10.0.0.1', '9.9.9.9, 1.2.3.4, 10.0.0.2', 2, '1.2.3.4'],
    ['10.0.0.1', '1.2.3.4', 2, '1.2.3.4'],
    ['10.0.0.1', '1.2.3.4:5678', 1, '1.2.3.4'],
    ['10.0.0.1', '[2001:db8::1]:5678', 1, '2001:db8::1'],
    ['10.0.0.1', 'unknown', 1, '10.0.0.1'],
    ['10.0.0.1', '1.2.3.4,', 1, '10.0.0.1'],
  ] as const)
    t.equal(clientAddress(peer, forwarded, proxies), address, `${forwarded} behind ${proxies}`)
  for (const [address, key] of [
    ['1.2.3.4', '1.2.3.4'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['0000:0000:0000:0000:0000:ffff:0102:0304', '1.2.3.4'],
    ['2001:0db8:0001:0002:0003:0004:0005:0006', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ] as const)
    t.equal(addressKey(address), key, address)
})
