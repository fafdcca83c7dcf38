import { setTimeout as sleep } from 'node:timers/promises'
import type { InboxQueries } from '../../projections/index.ts'

const firstWaitMs = 2
const longestWaitMs = 50

/**
 * Whether a user's inbox came, within `ms`, to show all conversations up to these sequences. One that the user is not in is waited for like one that lags:
 * nothing is learned from it.
 */
export const inboxHolds = async (
  inbox: InboxQueries,
  user: string,
  seen: Readonly<Record<string, number>>,
  ms: number,
): Promise<boolean> => {
  const until = performance.now() + ms
  const missing = new Map(Object.entries(seen))
  for (let wait = firstWaitMs; ; wait = Math.min(2 * wait, longestWaitMs)) {
    for (const [c, seq] of missing) {
      const item = await inbox.item(user, c)
      if (item !== undefined && item.head >= seq) missing.delete(c)
    }
    if (missing.size === 0) return true
    if (performance.now() + wait > until) return false
    await sleep(wait)
  }
}
