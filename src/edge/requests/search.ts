import { FairSemaphore } from '../../base/fair-semaphore.ts'
import { ConfabError } from '../../events/index.ts'
import type { SearchQuery } from '../../projections/index.ts'
import { given, listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

const defaultHits = 20

/** Handles `search`: searches one conversation of the user, or all of them. */
export const search = ({
  access,
  views,
  memberships,
  freshness,
  limits,
}: RequestContext): Handler<'search'> => {
  const slots = new FairSemaphore({ total: limits.searches, share: limits.userSearches })
  return async (request, caller) => {
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
      const { hits, cursor } = await slots.run(caller.user, () => views.search.search(query))
      return { items: hits, cursor }
    })
  }
}

const timeOf = (value: string | undefined, name: string): number | undefined => {
  if (value === undefined) return undefined
  const time = Date.parse(value)
  if (Number.isNaN(time))
    throw new ConfabError('BAD_REQUEST', `${name}: expected a time such as 2026-11-24T02:30:43.123Z.`, {
      field: `/${name}`,
    })
  return time
}
