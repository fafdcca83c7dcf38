const dayMs = 86_400_000
/** Age from which an unfinished backup is one of a process that has ended, ms. */
const unfinishedMs = dayMs
/** Monday of the week of 1970-01-01, a Thursday, is three days earlier. */
const mondayOffset = 3

/** How many backups stay: the newest ones, and the last one of each of the newest days, weeks and months (UTC). */
export interface KeepRules {
  readonly last: number
  readonly daily: number
  readonly weekly: number
  readonly monthly: number
}

/**
 * A folder with the name of a backup. `partial`: of some streams that an operator has chosen. `unfinished`:
 * without a manifest. `unreadable`: its manifest is damaged, or of a newer version.
 */
export interface FoundBackup {
  readonly id: string
  /** Start of the backup, ms. */
  readonly startedAt: number
  readonly state: 'verified' | 'finished' | 'partial' | 'unfinished' | 'unreadable'
}

const dayOf = (ms: number): number => Math.floor(ms / dayMs)

/** The periods of each rule: backups with the same number are of the same period. */
const periods: Readonly<Record<Exclude<keyof KeepRules, 'last'>, (ms: number) => number>> = {
  daily: dayOf,
  weekly: ms => Math.floor((dayOf(ms) + mondayOffset) / 7),
  monthly: ms => new Date(ms).getUTCFullYear() * 12 + new Date(ms).getUTCMonth(),
}

/** Returns the newest backup of each of the newest `most` periods that have one. */
const newestOfPeriods = (
  newestFirst: readonly FoundBackup[],
  periodOf: (ms: number) => number,
  most: number,
): FoundBackup[] => {
  const byPeriod = new Map<number, FoundBackup>()
  for (const backup of newestFirst) {
    const period = periodOf(backup.startedAt)
    if (!byPeriod.has(period)) byPeriod.set(period, backup)
  }
  return [...byPeriod.values()].slice(0, most)
}

/**
 * Returns the ids of the backups to remove, oldest first. The newest finished and the newest verified backup stay, and
 * so do partial and unreadable ones. Unfinished ones stay for a day: a process may still write them. Without a rule all
 * finished backups stay. `now`: ms.
 */
export const backupsToRemove = (found: readonly FoundBackup[], keep: KeepRules, now: number): string[] => {
  const newestFirst = found
    .filter(({ state }) => state === 'finished' || state === 'verified')
    .toSorted((one, other) => other.startedAt - one.startedAt || (one.id < other.id ? 1 : -1))
  const hasRule = Object.values(keep).some(most => most > 0)
  const kept = new Set<FoundBackup | undefined>([
    newestFirst[0],
    newestFirst.find(({ state }) => state === 'verified'),
    ...newestFirst.slice(0, keep.last),
    ...Object.entries(periods).flatMap(([rule, periodOf]) =>
      newestOfPeriods(newestFirst, periodOf, keep[rule as keyof typeof periods]),
    ),
  ])
  const surplus = hasRule ? newestFirst.filter(backup => !kept.has(backup)) : []
  const abandoned = found.filter(
    ({ state, startedAt }) => state === 'unfinished' && now - startedAt > unfinishedMs,
  )
  return [...surplus, ...abandoned].map(({ id }) => id).sort()
}
