import type { Views } from '../../src/projections/index.ts'
import { conversations, users } from './history.ts'

/** Returns all pages of a list, read a few rows at a time. */
const pages = async <T>(
  read: (cursor: string | undefined) => Promise<{ rows: readonly T[]; cursor?: string | undefined }>,
): Promise<T[]> => {
  const all: T[] = []
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const page: { rows: readonly T[]; cursor?: string | undefined } = await read(cursor)
    all.push(...page.rows)
    cursor = page.cursor
  }
  return all
}

const at = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor })

/**
 * Returns everything that views contain about a history's conversations and users, in the shape of the model's `all`.
 */
export const readAll = async (views: Views) => {
  const each = <T, R>(list: readonly T[], read: (one: T) => Promise<R>): Promise<R[]> =>
    Promise.all(list.map(read))
  return {
    timeline: await each(conversations, async c => {
      const events: Record<string, unknown>[] = []
      for (let after = 0; ; ) {
        const page = await views.timeline.page(c, { after, limit: 3 })
        for (const { data } of page) events.push(JSON.parse(Buffer.from(data).toString()))
        const last = page.at(-1)
        if (last === undefined) return events
        after = last.seq
      }
    }),
    heads: await each(conversations, c => views.timeline.head(c)),
    messages: await each(conversations, async c => {
      const found = []
      for (let i = 1; ; i++) {
        const message = await views.timeline.findMessage(c, `m-${i}`)
        if (message === undefined) return found
        found.push(message)
      }
    }),
    inboxes: await each(users, user =>
      pages(async cursor => {
        const page = await views.inbox.page(user, { limit: 2, ...at(cursor) })
        return { rows: page.items, cursor: page.cursor }
      }),
    ),
    undelivered: await each(users, user =>
      pages(async cursor => {
        const page = await views.inbox.undelivered(user, { since: '', limit: 3, ...at(cursor) })
        return { rows: page.messages, cursor: page.cursor }
      }),
    ),
    items: await each(users, user => each(conversations, c => views.inbox.item(user, c))),
    members: await each(conversations, c =>
      pages(async cursor => {
        const page = await views.roster.members(c, { limit: 2, ...at(cursor) })
        return { rows: page.members, cursor: page.cursor }
      }),
    ),
    conversationsOf: await each(users, async user => [
      ...(await views.roster.conversationsOf(user)).conversations,
    ]),
    invitationsOf: await each(users, user =>
      pages(async cursor => {
        const page = await views.roster.invitationsOf(user, { limit: 1, ...at(cursor) })
        return { rows: page.conversations, cursor: page.cursor }
      }),
    ),
  }
}

/** Returns `c seq` of all hits, and checks the order: newest first. */
export const searchAll = async (views: Views, q: string, among: readonly string[]): Promise<string[]> => {
  const hits = await pages(async cursor => {
    const page = await views.search.search({ q, conversations: among, limit: 3, ...at(cursor) })
    return { rows: page.hits, cursor: page.cursor }
  })
  for (const [i, hit] of hits.entries()) {
    const before = hits[i - 1]
    if (before !== undefined && before.at < hit.at) throw new Error(`${before.at} comes before ${hit.at}`)
    if (!hit.highlight.includes('<mark>')) throw new Error(`nothing is marked in ${JSON.stringify(hit)}`)
  }
  return hits.map(({ c, seq }) => `${c} ${seq}`)
}
