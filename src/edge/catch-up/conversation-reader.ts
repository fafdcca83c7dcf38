import type { ConversationView, EventLog } from '../../commands/index.ts'
import { ConfabError, Family, wireBytes } from '../../events/index.ts'
import type { TimelineEntry, TimelineQueries } from '../../projections/index.ts'

/** Where to read from, and how much. */
export type PageRange =
  | { readonly after: number; readonly limit: number }
  | { readonly before: number; readonly limit: number }

const tooFarBehind = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The history of this conversation is being brought up to date; try again.')

/** A conversation's events: from the timeline what it holds, from the log what it lags behind by. Nobody is authorised here. */
export class ConversationReader {
  readonly #timeline: TimelineQueries
  readonly #log: EventLog
  readonly #lagEvents: number

  constructor(timeline: TimelineQueries, log: EventLog, lagEvents: number) {
    this.#timeline = timeline
    this.#log = log
    this.#lagEvents = lagEvents
  }

  /** At most `limit` events, ascending: those next after a seq, or the last ones before one. `view` says what there is to expect. */
  async page(view: ConversationView, range: PageRange): Promise<readonly TimelineEntry[]> {
    const { c, head } = view
    return 'after' in range
      ? await this.#pageAfter(c, head, range.after, range.limit)
      : await this.#pageBefore(c, Math.min(range.before, head + 1), range.limit)
  }

  async #pageAfter(c: string, head: number, after: number, limit: number): Promise<TimelineEntry[]> {
    const held = await this.#heldUpTo(c)
    const entries = [...(await this.#timeline.page(c, { after, limit }))]
    if (entries.length === limit || (entries.at(-1)?.seq ?? after) >= head) return entries
    let last = entries.at(-1)?.seq ?? after
    for await (const batch of this.#fromLog(c, held)) {
      for (const entry of batch) {
        if (entry.seq <= last) continue
        entries.push(entry)
        last = entry.seq
        if (entries.length === limit) return entries
      }
    }
    return entries
  }

  async #pageBefore(c: string, before: number, limit: number): Promise<readonly TimelineEntry[]> {
    const held = await this.#heldUpTo(c)
    const entries = await this.#timeline.page(c, { before, limit })
    if (before <= 1 || entries.at(-1)?.seq === before - 1) return entries
    const last = entries.at(-1)?.seq ?? 0
    let rest: TimelineEntry[] = []
    for await (const batch of this.#fromLog(c, held)) {
      for (const entry of batch) if (entry.seq > last && entry.seq < before) rest.push(entry)
      if (rest.length > limit * 2) rest = rest.slice(-limit)
      if ((batch.at(-1)?.seq ?? 0) >= before) break
    }
    return [...entries, ...rest].slice(-limit)
  }

  async #heldUpTo(c: string): Promise<number> {
    return (await this.#timeline.head(c))?.streamSeq ?? 0
  }

  /** What the log has of a conversation after what the timeline held. Bounded: rejects with ConfabError UNAVAILABLE when that is too much. */
  async *#fromLog(c: string, held: number): AsyncIterableIterator<readonly TimelineEntry[]> {
    let events = 0
    for await (const batch of this.#log.read({ family: Family.conversation, id: c }, held)) {
      events += batch.length
      if (events > this.#lagEvents) throw tooFarBehind()
      yield batch.map(stored => ({
        seq: stored.envelope.seq,
        streamSeq: stored.streamSeq,
        data: wireBytes(stored),
      }))
    }
  }
}
