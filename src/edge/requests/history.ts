import { Limits } from '../../events/index.ts'
import type { TimelineEntry } from '../../projections/index.ts'
import { isReadable, type PageRange } from '../catch-up/conversation-reader.ts'
import { JsonFields } from '../sessions/frames.ts'
import type { Handler, RequestContext } from './request-context.ts'

const defaultPage = 50
/** Bytes of an answer's frame that are not events, at most. */
const frameRest = 256

/** As many events as a frame holds, at least one: the first ones, or the last ones. */
const fitting = (entries: readonly TimelineEntry[], fromEnd: boolean): readonly TimelineEntry[] => {
  let room = Limits.frameBytes - frameRest
  let count = 0
  while (count < entries.length) {
    const entry = entries[fromEnd ? entries.length - 1 - count : count]!
    room -= entry.data.length + 1
    if (room < 0 && count > 0) break
    count++
  }
  return fromEnd ? entries.slice(entries.length - count) : entries.slice(0, count)
}

/** Returns the answer's fields. The bytes of events are used as stored; an event that this build cannot read is left out. */
const asJson = (entries: readonly TimelineEntry[], head: number, more: boolean): JsonFields => {
  const events = entries
    .filter(isReadable)
    .map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
  return new JsonFields(`{"events":[${events.join(',')}],"head":${head},"more":${more}}`)
}

/** A page of a conversation. `more`: there are later ones when `after` was asked, else earlier ones. A page ends early rather than outgrow a frame. */
export const history =
  ({ access, reader }: RequestContext): Handler<'history'> =>
  async (request, caller) => {
    const view = await access.member(request.c, caller.user, request.seen)
    const limit = request.limit ?? defaultPage
    const { after } = request
    const range: PageRange =
      after !== undefined ? { after, limit } : { before: request.before ?? Number.MAX_SAFE_INTEGER, limit }
    const page = await reader.page(view, range)
    // Meanwhile the user may have been removed.
    const { head } = await access.member(request.c, caller.user, request.seen)
    const entries = fitting(page, after === undefined)
    const more = after !== undefined ? (entries.at(-1)?.seq ?? after) < head : (entries[0]?.seq ?? 1) > 1
    return asJson(entries, head, more)
  }
