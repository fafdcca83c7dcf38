import { setTimeout as sleep } from 'node:timers/promises'
import { ConfabError, type MemberItem } from '../../events/index.ts'
import type { InboxQueries, SearchQuery } from '../../projections/index.ts'
import { listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

const defaultPage = 50
const defaultHits = 20

/** Leaves out what is undefined: an optional property that is there is not undefined. */
const given = <K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } =>
  value === undefined ? {} : ({ [name]: value } as { [P in K]: V })

export const inbox =
  ({ access, views, freshness, limits }: RequestContext): Handler<'inbox'> =>
  async (request, caller) => {
    access.requireFresh()
    await freshness.reached('inbox', limits.viewWaitMs)
    const { seen } = request
    const behind =
      seen !== undefined && !(await inboxHolds(views.inbox, caller.user, seen, limits.seenWaitMs))
    return await listPage('items', request.limit ?? defaultPage, async limit => {
      const { items, cursor } = await views.inbox.page(caller.user, {
        limit,
        ...given('cursor', request.cursor),
      })
      return { items, cursor, behind }
    })
  }

/** What waits for the caller's devices. Told from the marks, so that what is delivered needs no write to leave it. */
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
        // The view may not know yet that the caller was removed.
        .filter(({ c }) => mine.has(c))
        .map(one => ({ ...one, expires: new Date(Date.parse(one.at) + limits.undeliveredMs).toISOString() }))
      return { items, cursor }
    })
  }

/** The roster's page, with those who have left and those who have another role put right by the conversation's state. Who follows a channel is as the roster has it. */
export const members =
  ({ access, views, freshness, limits }: RequestContext): Handler<'members'> =>
  async (request, caller) => {
    await access.member(request.c, caller.user)
    await freshness.reached('members', limits.viewWaitMs)
    const page = await views.roster.members(request.c, {
      limit: request.limit ?? defaultPage,
      ...given('cursor', request.cursor),
    })
    const view = await access.member(request.c, caller.user)
    const found: MemberItem[] = []
    for (const member of page.members) {
      const role = view.roleOf(member.user)
      const { follows, ...rest } = member
      if (role !== undefined) found.push({ ...rest, role })
      else if (follows === true) found.push({ ...rest, role: 'member' })
    }
    return { members: found, ...given('cursor', page.cursor) }
  }

const timeOf = (value: string | undefined, name: string): number | undefined => {
  if (value === undefined) return undefined
  const time = Date.parse(value)
  if (Number.isNaN(time))
    throw new ConfabError('BAD_REQUEST', `${name}: expected a time, such as 2026-11-24T02:30:43.123Z.`, {
      field: `/${name}`,
    })
  return time
}

/** Searches one conversation that the asker is in, or all of them. */
export const search =
  ({ access, views, memberships, freshness, limits }: RequestContext): Handler<'search'> =>
  async (request, caller) => {
    const filters = {
      ...given('from', request.from),
      ...given('after', timeOf(request.after, 'after')),
      ...given('before', timeOf(request.before, 'before')),
      ...given('hasMedia', request.hasMedia),
      ...given('cursor', request.cursor),
    }
    const { c } = request
    if (c === undefined) access.requireFresh()
    else await access.member(c, caller.user)
    await freshness.reached('search', limits.viewWaitMs)
    if (c !== undefined) await access.member(c, caller.user)
    const conversations = c !== undefined ? [c] : await memberships.of(caller.user, mine => [...mine])
    return await listPage('hits', request.limit ?? defaultHits, async limit => {
      const query: SearchQuery = { q: request.q, conversations, limit, ...filters }
      const { hits, cursor } = await views.search.search(query)
      return { items: hits, cursor }
    })
  }

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
