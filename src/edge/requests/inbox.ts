import type { InboxItem } from '../../events/index.ts'
import { defaultPage, given, listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `inbox`: returns a page of the user's conversations. */
export const inbox =
  ({ access, views, freshness, seenWaits, limits }: RequestContext): Handler<'inbox'> =>
  async (request, caller) => {
    access.requireFresh()
    await freshness.reached('inbox', limits.viewWaitMs)
    const { seen } = request
    const behind = seen !== undefined && !(await seenWaits.reached(caller.user, seen))
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
