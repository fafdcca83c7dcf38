import fc from 'fast-check'
import t from 'tap'
import type { ConversationView, EventLog } from '../../src/commands/index.ts'
import { Readable } from '../../src/edge/access/readable.ts'
import { ConversationReader, isReadable } from '../../src/edge/catch-up/conversation-reader.ts'
import { LogDamagedError, type StoredEvent } from '../../src/events/index.ts'
import type { TimelineEntry, TimelineQueries } from '../../src/projections/index.ts'

const c = 'tea'
const streamSeqOf = (seq: number) => seq * 3

/** How an event is: `dead`: readable, and not in the timeline; `unreadable`: no build can read it. */
type Kind = 'usual' | 'dead' | 'unreadable'

const storedEvent = (kind: Kind, seq: number): StoredEvent => ({
  aggregate: { family: 'conv', id: c },
  stream: 'CONV_0',
  streamSeq: streamSeqOf(seq),
  envelope: { type: 'a.newer', version: 1, seq, n: 0, actor: 'alice', commandId: `${seq}`, epoch: 1 },
  data: Buffer.from(kind === 'unreadable' ? '{' : JSON.stringify({ t: 'event', c, seq, type: 'a.newer' })),
})

/** A log, and a timeline that holds its usual events up to `held`. */
const readerOf = (kinds: readonly Kind[], held: number) => {
  const events = kinds.map((kind, index) => storedEvent(kind, index + 1))
  return readerOn(
    events,
    events.filter(({ envelope: { seq } }) => seq <= held && kinds[seq - 1] === 'usual'),
  )
}

/** A log and a timeline with the events of these seqs. */
const readerOfParts = (inLog: readonly number[], inTimeline: readonly number[]) =>
  readerOn(
    inLog.map(seq => storedEvent('usual', seq)),
    inTimeline.map(seq => storedEvent('usual', seq)),
  )

const readerOn = (events: readonly StoredEvent[], applied: readonly StoredEvent[]) => {
  const rows: TimelineEntry[] = applied.map(({ envelope, streamSeq, data }) => ({
    seq: envelope.seq,
    streamSeq,
    data,
  }))
  const timeline = {
    page: async (_: string, range: { after?: number; before?: number; limit: number }) => {
      const { after = 0, before = Number.POSITIVE_INFINITY, limit } = range
      const found = rows.filter(({ seq }) => seq > after && seq < before)
      return range.after === undefined ? found.slice(-limit) : found.slice(0, limit)
    },
    head: async () => rows.at(-1),
  }
  const log = {
    async *read(_: object, after: number) {
      const found = events.filter(({ streamSeq }) => streamSeq > after)
      for (let n = 0; n < found.length; n += 4) yield found.slice(n, n + 4)
    },
    last: async () => events.at(-1),
  }
  return new ConversationReader(timeline as unknown as TimelineQueries, log as unknown as EventLog, 1_000)
}

const anyLog = fc.record({
  kinds: fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constant<Kind>('usual') },
      fc.constantFrom<Kind>('dead', 'unreadable'),
    ),
    { maxLength: 40 },
  ),
  held: fc.nat(45),
  from: fc.nat(45),
  limit: fc.integer({ min: 1, max: 20 }),
})

const problemOf = (page: readonly TimelineEntry[], kinds: readonly Kind[], seqs: readonly number[]) => {
  if (String(page.map(({ seq }) => seq)) !== String(seqs)) return `${page.map(({ seq }) => seq)}, not ${seqs}`
  for (const entry of page) {
    if (entry.streamSeq !== streamSeqOf(entry.seq)) return `${entry.seq} at ${entry.streamSeq}`
    if (isReadable(entry) === (kinds[entry.seq - 1] === 'unreadable'))
      return `${entry.seq} is readable or not`
  }
  return undefined
}

const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

t.test('pages have every event, whatever the timeline lacks', async t => {
  await fc.assert(
    fc.asyncProperty(anyLog, async ({ kinds, held, from, limit }) => {
      const reader = readerOf(kinds, held)
      const head = kinds.length
      const view = { c, head, stream: 'CONV_0', streamSeq: streamSeqOf(head) } as ConversationView
      const after = Math.min(from, head)
      const next = range(after + 1, Math.min(head, after + limit))
      const before = Math.min(from, head + 1)
      const previous = range(Math.max(1, before - limit), before - 1)
      const problem =
        problemOf(await reader.page(Readable.whole(view), { after, limit }), kinds, next) ??
        problemOf(await reader.page(Readable.whole(view), { before, limit }), kinds, previous) ??
        problemOf(
          (await reader.pageAfterPosition(Readable.whole(view), streamSeqOf(after), limit)).slice(0, limit),
          kinds,
          next,
        )
      if (problem !== undefined) throw new Error(problem)
    }),
    { numRuns: 1_000 },
  )
  t.equal(await readerOf(['usual', 'unreadable'], 2).lastSeq(c), 2)
})

/** A log that lacks some events, and a timeline that holds events up to `held` which the log may lack. */
const anyDamage = fc.record({
  count: fc.integer({ min: 1, max: 30 }),
  lost: fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 }),
  isInTimeline: fc.boolean(),
  held: fc.nat(30),
  from: fc.nat(30),
  limit: fc.integer({ min: 1, max: 20 }),
})

t.test('a page never hides a hole: it has every event, or fails and names the first missing one', async t => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(anyDamage, async ({ count, lost, isInTimeline, held, from, limit }) => {
        const all = range(1, count)
        const inLog = all.filter(seq => !lost.includes(seq))
        const inTimeline = all.filter(seq => seq <= held && (isInTimeline || !lost.includes(seq)))
        const reader = readerOfParts(inLog, inTimeline)
        // The state of a node that has not noticed the damage.
        const view = { c, head: count, stream: 'CONV_0', streamSeq: streamSeqOf(count) } as ConversationView
        const after = Math.min(from, count)
        const before = Math.min(from, count + 1)
        for (const [page, seqs] of [
          [{ after, limit }, range(after + 1, Math.min(count, after + limit))],
          [{ before, limit }, range(Math.max(1, before - limit), before - 1)],
        ] as const) {
          const isHeld = (seq: number) => inLog.includes(seq) || inTimeline.includes(seq)
          try {
            const found = (await reader.page(Readable.whole(view), page)).map(({ seq }) => seq)
            if (String(found) !== String(seqs)) throw new Error(`${found}, not ${seqs}`)
          } catch (error) {
            if (!LogDamagedError.is(error)) throw error
            if (isHeld(error.seq) && inLog.includes(error.seq)) throw new Error(`${error.seq} is in the log`)
          }
        }
      }),
      { numRuns: 1_000 },
    ),
  )
})

t.test('a timeline with later events than the log is damage; a state that is behind is not', async t => {
  const viewAt = (head: number) =>
    ({ c, head, stream: 'CONV_0', streamSeq: streamSeqOf(head) }) as ConversationView
  const ahead = readerOfParts(range(1, 5), range(1, 8))
  for (const page of [
    { before: Number.MAX_SAFE_INTEGER, limit: 50 },
    { before: 6, limit: 2 },
    { after: 0, limit: 50 },
    { after: 4, limit: 2 },
  ])
    await t.rejects(
      ahead.page(Readable.whole(viewAt(5)), page),
      { name: 'LogDamagedError', seq: 6 },
      JSON.stringify(page),
    )
  t.same(
    (await ahead.page(Readable.whole(viewAt(5)), { before: 4, limit: 2 })).map(({ seq }) => seq),
    [2, 3],
  )
  const behind = readerOfParts(range(1, 8), range(1, 8))
  t.same(
    (await behind.page(Readable.whole(viewAt(5)), { before: Number.MAX_SAFE_INTEGER, limit: 3 })).map(
      ({ seq }) => seq,
    ),
    [3, 4, 5],
  )
})
