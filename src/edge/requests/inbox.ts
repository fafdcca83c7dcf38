import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import type { InboxItem } from '../../events/index.ts'
import type { InboxQueries } from '../../projections/index.ts'
import { defaultPage, given, listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `inbox`: returns a page of the user's conversations. */
export const inbox =
  ({ access, views, freshness, limits }: RequestContext): Handler<'inbox'> =>
  async (request, caller) => {
    access.requireFresh()
    await freshness.reached('inbox', limits.viewWaitMs)
    const { seen } = request
    const behind =
      seen !== undefined && !(await inboxReaches(views.inbox, caller.user, seen, limits.seenWaitMs))
    return await listPage('items', request.limit ?? defaultPage, async limit => {
      const { items, cursor, early } = await views.inbox.page(caller.user, {
        limit,
        ...given('cursor', request.cursor),
      })
      if (early === undefined) return { items, cursor, behind }
      const firsts = await access.firstReadable(early, caller.user)
      return { items: items.map(item => withoutEarly(item, firsts)), cursor, behind }
    })
  }

/**
 * Handles `undelivered`: returns messages after the user's delivered markers. The markers decide, so that a delivery
 * needs no write to a list of its own.
 */
export const undelivered =
  ({ access, views, freshness, memberships, limits }: RequestContext): Handler<'undelivered'> =>
  async (request, caller) => {
    access.requireFresh()
    await freshness.reached('inbox', limits.viewWaitMs)
    const since = new Date(Date.now() - limits.undeliveredMs).toISOString()
    const mine = await memberships.of(caller.user, ids => new Set(ids))
    return await listPage('messages', request.limit ?? defaultPage, async limit => {
      const { messages, cursor } = await views.inbox.undelivered(caller.user, {
        since,
        limit,
        ...given('cursor', request.cursor),
      })
      const items = messages
        // The view may lack the removal of the user.
        .filter(({ c }) => mine.has(c))
        .map(one => ({ ...one, expires: new Date(Date.parse(one.at) + limits.undeliveredMs).toISOString() }))
      return { items, cursor }
    })
  }

/** Returns an item without a last message that the user may not read. */
const withoutEarly = (item: InboxItem, firsts: ReadonlyMap<string, number>): InboxItem =>
  item.lastMessage !== null && item.lastMessage.seq < (firsts.get(item.c) ?? 1)
    ? { ...item, lastMessage: null }
    : item

const queryBackoff = { firstMs: 2, maxMs: 50, jitter: 0 }

/**
 * Waits until a user's inbox shows all conversations up to these sequence numbers; false after `ms`. It waits for
 * conversations of other users like for a lagging view, so that the answer reveals nothing about them.
 */
const inboxReaches = async (
  inbox: InboxQueries,
  user: string,
  seen: Readonly<Record<string, number>>,
  ms: number,
): Promise<boolean> => {
  const until = performance.now() + ms
  const missing = new Map(Object.entries(seen))
  for (let queries = 1; ; queries++) {
    for (const [c, seq] of missing) {
      const item = await inbox.item(user, c)
      if (item !== undefined && item.head >= seq) missing.delete(c)
    }
    if (missing.size === 0) return true
    const wait = backoffMs(queries, queryBackoff)
    if (performance.now() + wait > until) return false
    await sleep(wait)
  }
}
