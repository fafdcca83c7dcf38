import { ConfabError, type SearchHit } from '../../events/index.ts'
import type { SearchQueries, SearchQuery } from '../../projections/index.ts'
import { given, listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

const defaultHits = 20

/** Handles `search`: searches one conversation of the user, or all of them. */
export const search =
  (context: RequestContext): Handler<'search'> =>
  async (request, caller) => {
    const { access, views, searches, memberships, freshness, limits } = context
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
    const isFresh = await freshness.reached('search', limits.viewWaitMs)
    if (c !== undefined) await access.member(c, caller.user)
    const conversations = c !== undefined ? [c] : await memberships.of(caller.user, mine => [...mine])
    return await listPage('hits', request.limit ?? defaultHits, async limit => {
      const query: SearchQuery = { q: request.q, conversations, limit, ...filters }
      const { hits, cursor } = await searchReadable(
        query,
        query => searches.run(caller.user, () => views.search.search(query)),
        found => access.firstReadable(found, caller.user),
      )
      return { items: isFresh ? hits : await currentHits(context, caller.user, hits), cursor }
    })
  }

/** Searches of one page. A page that still has messages from before the user joined is shortened. */
const mostSearches = 16

type Found = Awaited<ReturnType<SearchQueries['search']>>

/**
 * Searches the messages that a user may read. The states of the conversations with hits say which those are. A page
 * with other messages is read again without them, so that neither a hit nor a cursor reveals them.
 */
export const searchReadable = async (
  query: SearchQuery,
  search: (query: SearchQuery) => Promise<Found>,
  firstReadable: (conversations: Iterable<string>) => Promise<Map<string, number>>,
): Promise<Found> => {
  const known = new Map<string, number>()
  for (let searches = 1; ; searches++) {
    const found = await search(known.size === 0 ? query : { ...query, firsts: known })
    const firsts = await firstReadable(found.hits.map(({ c }) => c))
    const hits = found.hits.filter(({ c, seq }) => seq >= (firsts.get(c) ?? 1))
    if (hits.length === found.hits.length || searches === mostSearches) return { ...found, hits }
    for (const [c, first] of firsts) known.set(c, first)
  }
}

/** Returns the hits without those whose text has changed since. For a view that lags. */
const currentHits = async (
  { access, reader }: RequestContext,
  user: string,
  hits: readonly SearchHit[],
): Promise<readonly SearchHit[]> => {
  const texts = await Promise.all(
    hits.map(async ({ c, seq }) => await reader.textAt(await access.readable(c, user), seq)),
  )
  return hits.filter(({ text }, i) => texts[i] === text)
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
