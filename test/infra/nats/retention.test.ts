import fc from 'fast-check'
import t from 'tap'
import { backupsToRemove, type FoundBackup, type KeepRules } from '../../../src/infra/nats/backup/index.ts'

const hour = 3_600_000
const day = 24 * hour
const now = Date.parse('2026-11-30T12:00:00Z')
const none: KeepRules = { last: 0, daily: 0, weekly: 0, monthly: 0 }

const found = (startedAt: number, state: FoundBackup['state'] = 'finished'): FoundBackup => ({
  id: new Date(startedAt).toISOString(),
  startedAt,
  state,
})

const at = (time: string, state?: FoundBackup['state']): FoundBackup => found(Date.parse(time), state)

/** Returns the starts of the names of the backups that stay. */
const kept = (all: readonly FoundBackup[], keep: Partial<KeepRules>): string[] => {
  const removed = new Set(backupsToRemove(all, { ...none, ...keep }, now))
  return all.filter(({ id }) => !removed.has(id)).map(({ id }) => id.slice(0, 13))
}

t.test('rules keep the newest backups, and the last ones of days, weeks and months', async t => {
  const all = [
    at('2026-09-15T01:00:00Z'),
    at('2026-10-31T23:00:00Z'),
    at('2026-11-01T00:00:00Z'),
    at('2026-11-22T23:00:00Z'), // Sunday
    at('2026-11-23T00:00:00Z'), // Monday
    at('2026-11-29T06:00:00Z'), // Sunday
    at('2026-11-29T18:00:00Z'),
    at('2026-11-30T06:00:00Z'),
  ]
  t.same(kept(all, { last: 2 }), ['2026-11-29T18', '2026-11-30T06'])
  t.same(kept(all, { daily: 3 }), ['2026-11-23T00', '2026-11-29T18', '2026-11-30T06'])
  t.same(kept(all, { weekly: 3 }), ['2026-11-22T23', '2026-11-29T18', '2026-11-30T06'])
  t.same(kept(all, { monthly: 12 }), ['2026-09-15T01', '2026-10-31T23', '2026-11-30T06'])
  t.same(kept(all, {}), kept(all, { last: 100 }), 'no rule keeps all')
})

t.test('the newest verified backup stays', async t => {
  const all = [
    at('2026-11-01T00:00:00Z', 'verified'),
    at('2026-11-02T00:00:00Z', 'verified'),
    at('2026-11-03T00:00:00Z'),
    at('2026-11-04T00:00:00Z'),
  ]
  t.same(kept(all, { last: 1 }), ['2026-11-02T00', '2026-11-04T00'])
})

t.test('unfinished backups stay for a day; partial and unreadable ones are left alone', async t => {
  const all = [
    found(now - 30 * day, 'partial'),
    found(now - 30 * day + 1, 'unreadable'),
    found(now - day - 1, 'unfinished'),
    found(now - day, 'unfinished'),
    found(now - 2 * hour),
  ]
  t.same(backupsToRemove(all, { ...none, last: 1 }, now), [all[2]?.id])
  t.same(backupsToRemove(all, none, now), [all[2]?.id])
})

const rules = fc.record({
  last: fc.nat(5),
  daily: fc.nat(8),
  weekly: fc.nat(5),
  monthly: fc.nat(4),
})
const backups = fc
  .uniqueArray(fc.integer({ min: 0, max: 500 * 24 }), { maxLength: 60 })
  .chain(hours =>
    fc.tuple(
      ...hours.map(ago =>
        fc
          .constantFrom<FoundBackup['state']>(
            'finished',
            'finished',
            'verified',
            'unfinished',
            'partial',
            'unreadable',
          )
          .map(state => found(now - ago * hour, state)),
      ),
    ),
  )

t.test('any choice keeps what must stay, is bounded, and is final', async () => {
  fc.assert(
    fc.property(backups, rules, (all, keep) => {
      const removed = new Set(backupsToRemove(all, keep, now))
      const byId = new Map(all.map(one => [one.id, one]))
      for (const id of removed) {
        const one = byId.get(id)
        if (one === undefined || one.state === 'partial' || one.state === 'unreadable') return false
        if (one.state === 'unfinished' && now - one.startedAt <= day) return false
      }
      const whole = all
        .filter(({ state }) => state === 'finished' || state === 'verified')
        .sort((one, other) => other.startedAt - one.startedAt)
      const staying = whole.filter(({ id }) => !removed.has(id))
      const hasRule = Object.values(keep).some(most => most > 0)
      if (!hasRule) return staying.length === whole.length
      const bound = keep.last + keep.daily + keep.weekly + keep.monthly + 2
      if (staying.length > bound) return false
      for (const one of [
        whole[0],
        whole.find(({ state }) => state === 'verified'),
        ...whole.slice(0, keep.last),
      ])
        if (one !== undefined && removed.has(one.id)) return false
      const daysOf = (some: readonly FoundBackup[]) => [...new Set(some.map(({ id }) => id.slice(0, 10)))]
      const newestDays = daysOf(whole).slice(0, keep.daily)
      if (!newestDays.every(one => daysOf(staying).includes(one))) return false
      const monthsOf = (some: readonly FoundBackup[]) => [...new Set(some.map(({ id }) => id.slice(0, 7)))]
      if (
        !monthsOf(whole)
          .slice(0, keep.monthly)
          .every(one => monthsOf(staying).includes(one))
      )
        return false
      const left = all.filter(({ id }) => !removed.has(id))
      return (
        backupsToRemove(left, keep, now).length === 0 &&
        backupsToRemove(all.toReversed(), keep, now).length === removed.size
      )
    }),
    { numRuns: 500 },
  )
})
