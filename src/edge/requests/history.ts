import type { TimelineEntry } from '../../projections/index.ts'
import { isReadable, type PageRange } from '../catch-up/conversation-reader.ts'
import { JsonFields } from '../sessions/frames.ts'
import { defaultPage, fittingEntries } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Copies the stored JSON of the events into the answer. An event that this build cannot read is left out. */
const asJson = (entries: readonly TimelineEntry[], head: number, more: boolean): JsonFields => {
  const events = entries
    .filter(isReadable)
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  return new JsonFields(`{"events":[${events.join(',')}],"head":${head},"more":${more}}`)
}

/**
 * Handles `history`: returns a page of a conversation's events. `more`: there are later events for a request with
 * `after`, earlier events otherwise. A page ends early when the next event would exceed the frame.
 */
export const history =
  ({ access, reader }: RequestContext): Handler<'history'> =>
  async (request, caller) => {
    const view = await access.member(request.c, caller.user, request.seen)
    const limit = request.limit ?? defaultPage
    const { after } = request
    const range: PageRange =
      after !== undefined ? { after, limit } : { before: request.before ?? Number.MAX_SAFE_INTEGER, limit }
    const page = await reader.page(view, range)
    // The user may have been removed during the read.
    const { head } = await access.member(request.c, caller.user, request.seen)
    const entries = fittingEntries(page, after === undefined)
    const more = after !== undefined ? (entries.at(-1)?.seq ?? after) < head : (entries[0]?.seq ?? 1) > 1
    return asJson(entries, head, more)
  }
