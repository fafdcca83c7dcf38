import type { ConversationView, EventLog } from '../../commands/index.ts'
import { ConfabError, Family, isForeign, LogDamagedError, type StoredEvent } from '../../events/index.ts'
import type { TimelineEntry, TimelineQueries } from '../../projections/index.ts'
import type { Readable } from '../access/readable.ts'
import { clientBytes } from '../delivery/wire.ts'
import {
  changeOf,
  contentEventOf,
  type Edited,
  type LastChange,
  lastChange,
  lastOf,
  type Posted,
  parse,
  withCurrentContent,
} from './current-content.ts'

/** The range of a page: `limit` events next after, or last before, a sequence number. */
export type PageRange =
  | { readonly after: number; readonly limit: number }
  | { readonly before: number; readonly limit: number }

const tooFarBehind = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'The history of this conversation is not up to date yet. Retry.')

const noBytes = new Uint8Array(0)

/** Whether clients can receive an entry. An event that this build cannot read has an entry without bytes. */
export const isReadable = (entry: TimelineEntry): boolean => entry.data.length > 0

/**
 * Reads the events of a conversation: from the timeline, and from the log those that the timeline lacks. The timeline
 * lacks the newest events while it lags, and every event that its projection could not read. Pages have no gap: an
 * event that this build cannot read either has an entry without bytes. Every event has the current content of its
 * message: as last edited, and none of a deleted one. A `Readable` says what the user may read.
 */
export class ConversationReader {
  readonly #timeline: TimelineQueries
  readonly #log: EventLog
  readonly #lagEvents: number

  /** `lagEvents`: events that one page may read from the log. */
  constructor(timeline: TimelineQueries, log: EventLog, lagEvents: number) {
    this.#timeline = timeline
    this.#log = log
    this.#lagEvents = lagEvents
  }

  /**
   * Returns at most `limit` events that the user may read, ascending. Rejects with ConfabError UNAVAILABLE when the
   * timeline lags by too many events, with LogDamagedError when neither the timeline nor the log has one of the events,
   * and when the timeline has later events than the log.
   */
  async page({ view, first }: Readable, range: PageRange): Promise<readonly TimelineEntry[]> {
    const { c, head } = view
    if (first > head) return []
    if ('after' in range) {
      const { limit } = range
      const after = Math.max(range.after, first - 1)
      const page = await this.#pageAfter(view, after, limit)
      await this.#requireWhole(c, page, after, Math.min(head, after + limit))
      return await this.#current(view, page)
    }
    const before = Math.min(range.before, head + 1)
    if (before <= first) return []
    const limit = Math.min(range.limit, before - first)
    const page = await this.#pageBefore(view, before, limit)
    await this.#requireWhole(c, page, Math.max(0, before - 1 - limit), before - 1)
    return await this.#current(view, page)
  }

  /** Returns about `limit` events after a stream sequence that the user may read, ascending, from the log. */
  async pageAfterPosition(
    { view, first }: Readable,
    streamSeq: number,
    limit: number,
  ): Promise<readonly TimelineEntry[]> {
    const entries: TimelineEntry[] = []
    for await (const batch of this.#fromLog(view.c, streamSeq)) {
      for (const entry of batch) if (entry.seq >= first) entries.push(entry)
      if (entries.length >= limit) break
    }
    return await this.#current(view, entries)
  }

  /** Returns the current text of a message that the user may read; undefined when it is deleted or not readable. */
  async textAt(readable: Readable, seq: number): Promise<string | undefined> {
    const [entry] = await this.page(readable, { after: seq - 1, limit: 1 })
    const event = entry?.seq === seq ? parse(entry.data) : undefined
    return event?.type === 'message.posted' && event.deleted !== true ? event.text : undefined
  }

  /**
   * Whether the user may read a file of a conversation: a message names it that the user may read and that is not
   * deleted. Undefined: no message of the timeline or of the log after it names the file.
   */
  async hasMedia({ view, first }: Readable, mediaId: string): Promise<boolean | undefined> {
    const { c } = view
    const head = await this.#timeline.head(c)
    const messages = new Set(await this.#timeline.messagesWith(c, mediaId))
    const deleted = new Set<string>()
    const posted = new Map<number, string>()
    if ((head?.seq ?? 0) < view.head)
      for await (const batch of this.#fromLog(c, head?.streamSeq ?? 0))
        for (const { seq, data } of batch) {
          const event = parse(data)
          if (event?.type === 'message.deleted') deleted.add(event.m)
          if (event?.type !== 'message.posted') continue
          if (event.attachments?.some(attachment => attachment.mediaId === mediaId) !== true) continue
          messages.add(seq)
          posted.set(seq, event.m)
        }
    if (messages.size === 0) return undefined
    for (const seq of messages) {
      if (seq < first) continue
      const [amendment] = await this.#timeline.amendments(c, seq, seq)
      if (amendment !== undefined && amendment.data === undefined) continue
      const m = deleted.size === 0 ? undefined : (posted.get(seq) ?? (await this.#messageAt(c, seq)))
      if (m === undefined || !deleted.has(m)) return true
    }
    return false
  }

  /** Returns the id of a message that the timeline has. */
  async #messageAt(c: string, seq: number): Promise<string | undefined> {
    const [entry] = await this.#timeline.page(c, { after: seq - 1, limit: 1 })
    const event = entry?.seq === seq ? parse(entry.data) : undefined
    return event?.type === 'message.posted' ? event.m : undefined
  }

  /**
   * Returns entries with the current contents of their messages. Most conversations have no edit and no deletion after
   * a page, and the state says so.
   */
  async #current(
    view: ConversationView,
    entries: readonly TimelineEntry[],
  ): Promise<readonly TimelineEntry[]> {
    const { c, amended } = view
    const first = entries[0]?.seq ?? amended
    if (!(first < amended)) return entries
    const events = entries.map(entry => (entry.seq < amended ? contentEventOf(entry) : undefined))
    if (events.every(event => event === undefined)) return entries
    // Read before the amendments: what the timeline adds between the two reads is then read from the log.
    const head = await this.#timeline.head(c)
    const [changes, recent] = await Promise.all([
      this.#changesOf(view, events),
      (head?.seq ?? 0) < amended ? this.#changesAfter(c, head?.streamSeq ?? 0) : undefined,
    ])
    return entries.map((entry, i) => {
      const event = events[i]
      if (event === undefined) return entry
      return withCurrentContent(entry, event, lastOf(changes.get(event.m), recent?.get(event.m)))
    })
  }

  /** Returns the last changes that the timeline has of the messages of some events, by message id. */
  async #changesOf(
    view: ConversationView,
    events: readonly (Posted | Edited | undefined)[],
  ): Promise<ReadonlyMap<string, LastChange>> {
    const { c } = view
    const messages = new Map<number, string>()
    const older: Edited[] = []
    for (const event of events)
      if (event?.type === 'message.posted') messages.set(event.seq, event.m)
      else if (event !== undefined) older.push(event)
    const posted = [...messages.keys()]
    const [low, high] = [posted[0], posted.at(-1)]
    const ranges = low === undefined || high === undefined ? [] : [this.#timeline.amendments(c, low, high)]
    const known = new Set(messages.values())
    for (const { m, messageSeq } of older) {
      if (known.has(m)) continue
      known.add(m)
      // An edit of an older version does not say which message it edited.
      const seq = messageSeq ?? (await this.#timeline.findMessage(c, m))?.seq
      if (seq === undefined) continue
      messages.set(seq, m)
      ranges.push(this.#timeline.amendments(c, seq, seq))
    }
    const changes = new Map<string, LastChange>()
    await Promise.all(
      (await Promise.all(ranges)).flat().map(async ({ messageSeq, seq, data, dataSeq }) => {
        const m = messages.get(messageSeq)
        if (m === undefined) return
        const edit = data && (parse(data) as Edited)
        if (edit === undefined || dataSeq === 0) changes.set(m, { seq, edit, dataEdit: undefined })
        else
          changes.set(m, { seq, edit, dataEdit: dataSeq === seq ? edit : await this.#editAt(view, dataSeq) })
      }),
    )
    return changes
  }

  /** Returns an edit that the timeline has, or the log. */
  async #editAt(view: ConversationView, seq: number): Promise<Edited | undefined> {
    const [entry] = await this.#timeline.page(view.c, { after: seq - 1, before: seq + 1, limit: 1 })
    const [found] = entry === undefined ? await this.#pageAfter(view, seq - 1, 1) : [entry]
    if (found?.seq !== seq) throw tooFarBehind()
    const change = changeOf(found)
    return change?.type === 'message.edited' ? change : undefined
  }

  /** Returns the last edits and deletions that the log has after a stream sequence, by message id. */
  async #changesAfter(c: string, streamSeq: number): Promise<ReadonlyMap<string, LastChange>> {
    const changes = new Map<string, LastChange>()
    for await (const batch of this.#fromLog(c, streamSeq))
      for (const entry of batch) {
        const change = changeOf(entry)
        if (change === undefined) continue
        changes.set(change.m, lastOf(changes.get(change.m), lastChange(change))!)
      }
    return changes
  }

  /** Returns the last `seq` of a conversation that the log holds, readable or not; 0 when it holds none. */
  async lastSeq(c: string): Promise<number> {
    return (await this.#log.last({ family: Family.conversation, id: c }))?.envelope.seq ?? 0
  }

  async #pageAfter(view: ConversationView, after: number, limit: number): Promise<TimelineEntry[]> {
    const { c, head } = view
    // Read before the page: a row that the timeline adds between the two reads is then read from the log.
    const timelineEnd = (await this.#timeline.head(c))?.streamSeq ?? 0
    const entries = [...(await this.#timeline.page(c, { after, limit }))]
    let last = entries.at(-1)?.seq ?? after
    // The view changes with the state, which the live feed usually advances before the timeline.
    if (entries.length > 0 && last > view.head) await this.#requireInLog(c, last)
    if (entries.length < limit && last < head)
      for await (const batch of this.#fromLog(c, timelineEnd)) {
        for (const entry of batch) {
          if (entry.seq <= last) continue
          entries.push(entry)
          last = entry.seq
        }
        if (entries.length >= limit) break
      }
    return (await this.#fillGaps(c, entries, after)).slice(0, limit)
  }

  async #pageBefore(
    view: ConversationView,
    before: number,
    limit: number,
  ): Promise<readonly TimelineEntry[]> {
    const { c, head } = view
    // The last page reads one event further: the timeline must not have an event that the log has lost.
    const isLast = before > head
    let entries = [
      ...(await this.#timeline.page(
        c,
        isLast ? { before: before + 1, limit: limit + 1 } : { before, limit },
      )),
    ]
    if (isLast && (entries.at(-1)?.seq ?? 0) > head) {
      if (view.head <= head) await this.#requireInLog(c, head + 1)
      entries.pop()
    }
    entries = entries.slice(-limit)
    let last = entries.at(-1)?.seq ?? 0
    if (before > 1 && last < before - 1)
      for await (const batch of this.#fromLog(c, entries.at(-1)?.streamSeq ?? 0)) {
        for (const entry of batch) {
          if (entry.seq <= last || entry.seq >= before) continue
          entries.push(entry)
          last = entry.seq
        }
        if (entries.length > limit * 2) entries = entries.slice(-limit)
        if ((batch.at(-1)?.seq ?? 0) >= before) break
      }
    const page = entries.slice(-limit)
    const after = page.length < limit ? Math.max(0, before - 1 - limit) : page[0]!.seq - 1
    return (await this.#fillGaps(c, page, after)).slice(-limit)
  }

  /** Returns the entries after `after` with the events between them that the timeline lacks. */
  async #fillGaps(c: string, entries: TimelineEntry[], after: number): Promise<TimelineEntry[]> {
    const seqBefore = (index: number): number => (index === 0 ? after : entries[index - 1]!.seq)
    const isAfterGap = (entry: TimelineEntry, index: number): boolean => entry.seq !== seqBefore(index) + 1
    const first = entries.findIndex(isAfterGap)
    if (first < 0) return entries
    const end = entries.findLast(isAfterGap)!
    const start = first === 0 ? await this.#positionOf(c, after) : entries[first - 1]!.streamSeq
    const known = new Set(entries.map(({ seq }) => seq))
    const missing: TimelineEntry[] = []
    for await (const batch of this.#fromLog(c, start)) {
      for (const entry of batch)
        if (entry.seq > after && entry.seq < end.seq && !known.has(entry.seq)) missing.push(entry)
      if ((batch.at(-1)?.seq ?? 0) >= end.seq) break
    }
    return [...entries, ...missing].sort((one, other) => one.seq - other.seq)
  }

  /** Rejects with LogDamagedError when the log ends before event `seq`. */
  async #requireInLog(c: string, seq: number): Promise<void> {
    const aggregate = { family: Family.conversation, id: c }
    const last = await this.#log.last(aggregate)
    // A foreign message has no seq.
    if (last !== undefined && isForeign(last)) return
    const end = last?.envelope.seq ?? 0
    if (end < seq) throw new LogDamagedError(aggregate, end + 1, seq)
  }

  /**
   * Checks that a page has every event after `after` up to `upTo`. Rejects with LogDamagedError when the log lacks one,
   * with ConfabError UNAVAILABLE when only the timeline lacks it.
   */
  async #requireWhole(c: string, page: readonly TimelineEntry[], after: number, upTo: number): Promise<void> {
    let seq = after + 1
    for (const entry of page) if (entry.seq === seq) seq++
    if (seq > upTo) return
    for await (const batch of this.#fromLog(c, await this.#positionOf(c, seq - 1))) {
      const entry = batch.find(one => one.seq >= seq)
      if (entry?.seq === seq) throw tooFarBehind()
      if (entry !== undefined)
        throw new LogDamagedError({ family: Family.conversation, id: c }, seq, entry.seq - 1)
    }
    throw new LogDamagedError({ family: Family.conversation, id: c }, seq, upTo)
  }

  /** Returns the stream sequence of event `seq`, or of the nearest event before it that the timeline has. */
  async #positionOf(c: string, seq: number): Promise<number> {
    const [entry] = await this.#timeline.page(c, { before: seq + 1, limit: 1 })
    return entry?.streamSeq ?? 0
  }

  /**
   * Reads the log after a stream sequence. Rejects with ConfabError UNAVAILABLE after `lagEvents` events, with
   * LogDamagedError when an event is missing between two others.
   */
  async *#fromLog(c: string, streamSeq: number): AsyncIterableIterator<readonly TimelineEntry[]> {
    const aggregate = { family: Family.conversation, id: c }
    let events = 0
    let next: number | undefined
    for await (const batch of this.#log.read(aggregate, streamSeq)) {
      events += batch.length
      if (events > this.#lagEvents) throw tooFarBehind()
      for (const { envelope } of batch) {
        if (next !== undefined && envelope.seq !== next)
          throw new LogDamagedError(aggregate, next, envelope.seq - 1)
        next = envelope.seq + 1
      }
      yield batch.map(entryOf)
    }
  }
}

const entryOf = (stored: StoredEvent): TimelineEntry => ({
  seq: stored.envelope.seq,
  streamSeq: stored.streamSeq,
  data: clientBytes(stored) ?? noBytes,
})
