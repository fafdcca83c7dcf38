import fc from 'fast-check'
import t from 'tap'
import type { ConversationView, EventLog } from '../../src/commands/index.ts'
import { ConversationReader, isReadable } from '../../src/edge/catch-up/conversation-reader.ts'
import type { StoredEvent } from '../../src/events/index.ts'
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
  const rows: TimelineEntry[] = events
    .filter(({ envelope: { seq } }) => seq <= held && kinds[seq - 1] === 'usual')
    .map(({ envelope, streamSeq, data }) => ({ seq: envelope.seq, streamSeq, data }))
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
        problemOf(await reader.page(view, { after, limit }), kinds, next) ??
        problemOf(await reader.page(view, { before, limit }), kinds, previous) ??
        problemOf((await reader.pageAfterPosition(c, streamSeqOf(after), limit)).slice(0, limit), kinds, next)
      if (problem !== undefined) throw new Error(problem)
    }),
    { numRuns: 1_000 },
  )
  t.equal(await readerOf(['usual', 'unreadable'], 2).lastSeq(c), 2)
})
