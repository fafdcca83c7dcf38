import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { ConversationView, EventLog } from '../../src/commands/index.ts'
import { Readable } from '../../src/edge/access/readable.ts'
import { ConversationReader } from '../../src/edge/catch-up/conversation-reader.ts'
import { SharedReads } from '../../src/edge/catch-up/shared-reads.ts'
import { Wire, type WireEvent } from '../../src/edge/delivery/wire.ts'
import type { TimelineEntry, TimelineQueries } from '../../src/projections/index.ts'

const conversations = ['tea', 'milk', 'rum']
const streamSeqOf = (seq: number) => seq * 10

/** Conversations whose heads move, and a timeline that has all events after a while. */
class Stored {
  readonly heads = new Map(conversations.map(c => [c, 0]))
  reads = 0
  fails = false

  readonly #timeline = {
    page: async (c: string, { after = 0, limit }: { after?: number; limit: number }) => {
      this.reads++
      await turn()
      if (this.fails) throw new Error('away')
      const count = Math.max(0, Math.min(limit, this.head(c) - after))
      return Array.from({ length: count }, (_, n) => this.entry(c, after + 1 + n))
    },
    head: async (c: string) => ({ seq: this.head(c), streamSeq: streamSeqOf(this.head(c)) }),
  }
  readonly #log = {
    async *read() {},
    last: async ({ id }: { id: string }) => ({ envelope: { type: 'message.posted', seq: this.head(id) } }),
  }

  readonly reader = new ConversationReader(
    this.#timeline as unknown as TimelineQueries,
    this.#log as unknown as EventLog,
    100,
  )

  head(c: string): number {
    return this.heads.get(c) ?? 0
  }

  entry(c: string, seq: number): TimelineEntry {
    return { seq, streamSeq: streamSeqOf(seq), data: Buffer.from(`{"c":"${c}","seq":${seq}}`) }
  }

  view(c: string): ConversationView {
    return { c, head: this.head(c) } as ConversationView
  }

  append(c: string): WireEvent {
    const seq = this.head(c) + 1
    this.heads.set(c, seq)
    const { streamSeq, data } = this.entry(c, seq)
    return { c, seq, stream: 'CONV_0', streamSeq, wire: new Wire(data) }
  }
}

const read = async (tails: SharedReads, stored: Stored, c: string, after: number): Promise<void> => {
  const events = (await tails.after(Readable.whole(stored.view(c)), { seq: after })) ?? []
  if (after < stored.head(c) && events.length === 0) throw new Error(`${c}: nothing after ${after}`)
  for (const [n, { seq, streamSeq, wire }] of events.entries()) {
    const expected = stored.entry(c, after + 1 + n)
    if (seq !== expected.seq || streamSeq !== expected.streamSeq)
      throw new Error(`${c}: ${seq} after ${after}`)
    if (Buffer.from(wire.json).toString() !== expected.data.toString()) throw new Error(`${c} ${seq}`)
  }
}

const command = fc.record({
  c: fc.constantFrom(...conversations),
  count: fc.integer({ min: 1, max: 30 }),
  /** How far the reader is behind the head; negative: no reader. */
  behind: fc.integer({ min: -10, max: 60 }),
  /** Whether the live feed delivers it. */
  isLive: fc.boolean(),
  waits: fc.boolean(),
})

t.test('each reader receives exactly the next events, whatever is kept, within the memory bound', async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 60 }),
      fc.constantFrom(0, 2_000, 20_000, 1e9),
      async (commands, most) => {
        const stored = new Stored()
        const tails = new SharedReads(stored.reader, most, () => {})
        const under: Promise<void>[] = []
        for (const { c, count, behind, isLive, waits } of commands) {
          for (let n = 0; n < count; n++) {
            const event = stored.append(c)
            if (isLive && tails.isKeeping(c)) tails.add(event)
          }
          if (behind >= 0) under.push(read(tails, stored, c, Math.max(0, stored.head(c) - behind)))
          if (waits) await turn()
          if (tails.bytes > most || tails.bytes < 0) throw new Error(`${tails.bytes} bytes`)
        }
        await Promise.all(under)
      },
    ),
    { numRuns: 300 },
  )
  t.end()
})

t.test('events that many have missed are read once, also for readers shortly after', async t => {
  const stored = new Stored()
  const served = { shared: 0, own: 0 }
  const tails = new SharedReads(stored.reader, 1e6, shared => served[shared ? 'shared' : 'own']++)
  for (let n = 0; n < 50; n++) stored.append('tea')
  await Promise.all(Array.from({ length: 100 }, () => read(tails, stored, 'tea', 30)))
  t.equal(stored.reads, 1)
  // An event that arrives live meanwhile is kept too.
  tails.add(stored.append('tea'))
  await Promise.all(Array.from({ length: 21 }, (_, n) => read(tails, stored, 'tea', 30 + n)))
  t.equal(stored.reads, 1)
  t.same(served, { shared: 120, own: 1 })
})

t.test('a failed read fails for its waiters, and the next reader tries again', async t => {
  const stored = new Stored()
  const tails = new SharedReads(stored.reader, 1e6, () => {})
  stored.append('tea')
  stored.fails = true
  const outcomes = await Promise.allSettled(
    [0, 0].map(() => tails.after(Readable.whole(stored.view('tea')), { seq: 0 })),
  )
  t.ok(outcomes.every(({ status }) => status === 'rejected'))
  stored.fails = false
  await read(tails, stored, 'tea', 0)
  t.equal(stored.reads, 2)
})
