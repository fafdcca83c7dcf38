import { ConfabError, type RequestOf } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'
import type { Readable } from '../access/readable.ts'
import { isReadable, type PageRange } from '../catch-up/conversation-reader.ts'
import { JsonFields } from '../sessions/frames.ts'
import { defaultPage, fittingAround, fittingEntries } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Copies the stored JSON of the events into the answer. An event that this build cannot read is left out. */
const asJson = (entries: readonly TimelineEntry[], head: number, more: object): JsonFields => {
  const events = entries
    .filter(isReadable)
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  return new JsonFields(
    `{"events":[${events.join(',')}],"head":${head},${JSON.stringify(more).slice(1, -1)}}`,
  )
}

/** The end of a page that a frame may cut off; for a page around a message, the seq of the message. */
type Fit = 'end' | 'start' | number

/** Returns the range that a request asks for. Rejects with ConfabError NOT_FOUND when it names an unknown message. */
const rangeOf = async (
  { lookup }: RequestContext,
  readable: Readable,
  { c, after, before, around, limit = defaultPage }: RequestOf['history'],
): Promise<{ range: PageRange; fit: Fit }> => {
  if (after !== undefined) return { range: { after, limit }, fit: 'end' }
  if (around === undefined)
    return { range: { before: before ?? Number.MAX_SAFE_INTEGER, limit }, fit: 'start' }
  const message = await lookup.find(c, around, readable.view.head)
  // A message that the user may not read is the same as none.
  if (message === undefined || message.seq < readable.first)
    throw new ConfabError('NOT_FOUND', 'This message does not exist.', { field: '/around' })
  const { seq } = message
  return { range: { after: Math.max(0, seq - 1 - Math.floor(limit / 2)), limit }, fit: seq }
}

const fitted = (page: readonly TimelineEntry[], fit: Fit): readonly TimelineEntry[] =>
  typeof fit === 'number' ? fittingAround(page, fit) : fittingEntries(page, fit === 'start')

/**
 * Handles `history`: returns a page of a conversation's events. `more`: there are later events for a request with
 * `after`, earlier events otherwise. A page ends early when the next event would exceed the frame.
 */
export const history =
  (context: RequestContext): Handler<'history'> =>
  async (request, caller) => {
    const { access, reader } = context
    const { c, after, around, seen } = request
    const asked = await access.readable(c, caller.user, seen)
    const { range, fit } = await rangeOf(context, asked, request)
    const page = await reader.page(asked, range)
    // The user may have been removed during the read, or have joined again.
    const readable = await access.readable(c, caller.user, seen)
    const { first } = readable
    const { head } = readable.view
    const entries = fitted(
      page[0] !== undefined && page[0].seq < first ? page.filter(({ seq }) => seq >= first) : page,
      fit,
    )
    const hasLater = (entries.at(-1)?.seq ?? after ?? 0) < head
    const hasEarlier = (entries[0]?.seq ?? first) > first
    return asJson(entries, head, {
      more: after === undefined ? hasEarlier : hasLater,
      ...(around === undefined ? {} : { moreAfter: hasLater }),
      ...(first > 1 ? { first } : {}),
    })
  }
