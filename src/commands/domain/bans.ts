import type { BanItem } from '../../events/index.ts'

/** Banned users with the end of each ban, ISO 8601. A change makes another map, so states may share one. */
export type Bans = ReadonlyMap<string, string>

/** The end of a ban that has none. */
export const endless = ''

export const noBans: Bans = new Map()

/** Returns the end of the ban of a user at a time; undefined for a user who is not banned then. */
export const banOf = (bans: Bans, user: string, at: string): string | undefined => {
  const until = bans.get(user)
  return until === endless || (until !== undefined && until > at) ? until : undefined
}

/** Returns the bans at a time, without those that have ended. */
export const bansAt = (bans: Bans, at: string): Map<string, string> =>
  new Map([...bans].filter(([, until]) => until === endless || until > at))

/** Returns the bans after one more, or one that replaces an earlier ban of the user. */
export const withBan = (bans: Bans, user: string, until: string, at: string): Bans =>
  bansAt(bans, at).set(user, until)

/** Returns the bans without that of a user. */
export const withoutBan = (bans: Bans, user: string, at: string): Bans => {
  const rest = bansAt(bans, at)
  rest.delete(user)
  return rest
}

/** Returns the end of a ban as events, answers and errors carry it. */
export const untilField = (until: string): Pick<BanItem, 'until'> => (until === endless ? {} : { until })

/** Returns the bans at a time, sorted by user id. */
export const banList = (bans: Bans, at: string): BanItem[] =>
  Array.from(bansAt(bans, at), ([user, until]) => ({ user, ...untilField(until) })).sort((a, b) =>
    a.user < b.user ? -1 : 1,
  )
