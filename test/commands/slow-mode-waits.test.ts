import t from 'tap'
import { notePosted, slowModeOf, waitOf } from '../../src/commands/domain/slow-mode.ts'
import { ConfabError } from '../../src/events/index.ts'

const at = '2026-01-01T00:00:00.000Z'

t.test('a wait is whole milliseconds, whatever fractions the clock of the process has', async t => {
  const slowMode = slowModeOf(10, undefined)!
  const post = { from: 'bob', at } as Parameters<typeof notePosted>[1]
  notePosted(slowMode, post, { seenAt: 1_000.25, isLive: true } as Parameters<typeof notePosted>[2])
  t.equal(waitOf(slowMode, 'bob', '2026-01-01T00:00:03.000Z', 4_000.75), 7_000)
  t.equal(waitOf(slowMode, 'bob', '2026-01-01T00:00:03.000Z', 4_500.6), 6_500)
  t.equal(waitOf(slowMode, 'bob', '2026-01-01T00:00:09.999Z', 11_000.2), 1)
})

t.test('the error that clients receive has whole milliseconds', async t => {
  t.equal(new ConfabError('OVERLOADED', 'x', { retryAfterMs: 12.3 }).toBody().retryAfterMs, 13)
})
