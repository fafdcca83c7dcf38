import fc from 'fast-check'
import t from 'tap'
import type { ConversationState } from '../../src/commands/domain/conversation-state.ts'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import type { EventLog, NewEvent, SnapshotStore } from '../../src/commands/index.ts'
import { AggregateCache } from '../../src/commands/states/aggregate-cache.ts'
import {
  ConfabError,
  type ConversationEvent,
  encodeBody,
  LogDamagedError,
  type StoredEvent,
} from '../../src/events/index.ts'
import { MemoryEventLog, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { at } from './given.ts'

const ref = (id: string) => ({ family: 'conv', id }) as const

const newEvent = (event: ConversationEvent): NewEvent => ({
  envelope: {
    type: event.type,
    version: 1,
    seq: event.seq,
    n: event.seq - 1,
    actor: event.from,
    commandId: `${event.c}-${event.seq}`,
    epoch: 1,
  },
  data: encodeBody(event),
})

const eventOf = (c: string, seq: number): ConversationEvent =>
  seq === 1
    ? {
        t: 'event',
        c,
        seq,
        type: 'conversation.created',
        from: 'alice',
        at,
        kind: 'group',
        members: [{ user: 'alice', role: 'owner' }],
      }
    : { t: 'event', c, seq, type: 'message.posted', m: `m${seq}`, n: seq - 1, from: 'alice', at, text: 'hi' }

/** Appends the events of a conversation up to a seq. */
const fill = async (log: MemoryEventLog, c: string, upTo: number): Promise<void> => {
  const last = await log.last(ref(c))
  let expected = last?.streamSeq ?? 0
  for (let seq = (last?.envelope.seq ?? 0) + 1; seq <= upTo; seq++)
    expected = (await log.append(ref(c), expected, [newEvent(eventOf(c, seq))])).position.streamSeq
}

const setUp = (
  more: {
    log?: EventLog
    snapshots?: SnapshotStore
    maxBytes?: number
    viewHead?: (id: string) => Promise<number>
  } = {},
) => {
  const memory = new MemoryEventLog()
  const snapshots = more.snapshots ?? new MemorySnapshotStore()
  const cache = new AggregateCache<ConversationState, ConversationEvent>({
    type: conversationType,
    log: more.log ?? memory,
    snapshots,
    maxBytes: more.maxBytes ?? 1e8,
    snapshotEvery: 256,
    viewHead: more.viewHead,
  })
  return { log: memory, snapshots, cache }
}

/** A log that counts its reads and holds each until it is released. */
const heldLog = (log: MemoryEventLog) => {
  const held: (() => void)[] = []
  let reads = 0
  const wrapped: EventLog = {
    streamOf: given => log.streamOf(given),
    append: (...given) => log.append(...given),
    last: given => log.last(given),
    async *read(aggregate, after) {
      reads++
      const batches: (readonly StoredEvent[])[] = []
      for await (const batch of log.read(aggregate, after)) batches.push(batch)
      await new Promise<void>(resolve => held.push(resolve))
      yield* batches
    },
  }
  return {
    wrapped,
    goOn: () => {
      for (const resolve of held.splice(0)) resolve()
    },
    reads: () => reads,
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const isSettled = (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([
    promise.then(
      () => true,
      () => true,
    ),
    turn().then(() => false),
  ])

t.test('it loads from the log, and the live feed keeps it fresh', async t => {
  const { log, cache } = setUp()
  log.follow(event => cache.feed(event))
  await fill(log, 'c1', 5)
  t.equal(cache.cached('c1'), undefined)
  const entry = await cache.load('c1')
  t.equal(entry.state.seq, 5)
  await fill(log, 'c1', 8)
  t.equal(cache.cached('c1'), entry)
  t.equal(entry.state.seq, 8)
  t.equal(entry.state.n, 7)
})

t.test('aggregates without events are cached too', async t => {
  const { log, cache } = setUp()
  log.follow(event => cache.feed(event))
  const entry = await cache.load('c1')
  t.equal(entry.state.seq, 0)
  await fill(log, 'c1', 1)
  t.equal(cache.cached('c1')?.state.seq, 1)
})

t.test('a gap in the feed drops the entry; known events are skipped', async t => {
  const { log, cache } = setUp()
  await fill(log, 'c1', 3)
  const entry = await cache.load('c1')
  await fill(log, 'c1', 5)
  const stored = log.stream('CONV_0')
  cache.feed(stored[1]!)
  t.equal(cache.cached('c1'), entry)
  cache.feed(stored[4]!)
  t.equal(cache.cached('c1'), undefined)
  t.equal(entry.live, false)
  t.equal(entry.state.seq, 3)
  t.equal((await cache.load('c1')).state.seq, 5)
})

t.test('it is updated from the log although the last message there is not confab’s', async t => {
  const memory = new MemoryEventLog()
  const { cache } = setUp({
    log: {
      streamOf: given => memory.streamOf(given),
      append: (...given) => memory.append(...given),
      last: async aggregate => {
        const last = await memory.last(aggregate)
        return (
          last && {
            ...last,
            streamSeq: last.streamSeq + 1,
            envelope: { ...last.envelope, type: '', seq: 0 },
          }
        )
      },
      read: (aggregate, after) => memory.read(aggregate, after),
    },
  })
  await fill(memory, 'c1', 3)
  t.equal((await cache.current('c1')).state.seq, 3)
  await fill(memory, 'c1', 5)
  t.equal((await cache.current('c1')).state.seq, 5)
})

t.test('an unreadable event drops the entry; loading reports the error', async t => {
  const { log, cache } = setUp()
  log.follow(event => cache.feed(event))
  await fill(log, 'c1', 3)
  await cache.load('c1')
  const { envelope } = newEvent(eventOf('c1', 4))
  await log.append(ref('c1'), 3, [{ envelope, data: new TextEncoder().encode('{}') }])
  t.equal(cache.cached('c1'), undefined)
  await t.rejects(cache.load('c1'), { name: 'UnreadableEventError' })
})

t.test('one load at a time per aggregate, and events of the feed during it are kept', async t => {
  const memory = new MemoryEventLog()
  const { wrapped, goOn, reads } = heldLog(memory)
  const { cache } = setUp({ log: wrapped })
  memory.follow(event => cache.feed(event))
  await fill(memory, 'c1', 3)
  const loads = [cache.load('c1'), cache.load('c1'), cache.load('c1')]
  await turn()
  t.equal(reads(), 1)
  await fill(memory, 'c1', 5)
  goOn()
  while (reads() < 2) await turn()
  goOn()
  const entries = await Promise.all(loads)
  t.equal(new Set(entries).size, 1)
  t.equal(entries[0]?.state.seq, 5)
})

t.test('the current state has events that were stored during a load, without the live feed', async t => {
  const memory = new MemoryEventLog()
  const { wrapped, goOn, reads } = heldLog(memory)
  const { cache } = setUp({ log: wrapped })
  await fill(memory, 'c1', 3)
  const load = cache.load('c1')
  await turn()
  t.equal(reads(), 1, 'the load has read three events')
  await fill(memory, 'c1', 5)
  const current = cache.current('c1')
  goOn()
  await load
  while (reads() < 2) {
    await turn()
    if (await isSettled(current)) break
  }
  goOn()
  t.equal((await current).state.seq, 5)
})

t.test('a failed load is not kept', async t => {
  const memory = new MemoryEventLog()
  await fill(memory, 'c1', 2)
  let fails = true
  const log: EventLog = {
    streamOf: given => memory.streamOf(given),
    append: (...given) => memory.append(...given),
    last: given => memory.last(given),
    async *read(aggregate, after) {
      if (fails) throw new ConfabError('UNAVAILABLE')
      yield* memory.read(aggregate, after)
    },
  }
  const { cache } = setUp({ log })
  await t.rejects(cache.load('c1'), { code: 'UNAVAILABLE' })
  fails = false
  t.equal((await cache.load('c1')).state.seq, 2)
})

t.test('it is bounded in bytes: the least recently used entry is dropped', async t => {
  const { log, cache } = setUp({ maxBytes: 20_000 })
  const ids = Array.from({ length: 30 }, (_, i) => `c${i}`)
  for (const id of ids) {
    await fill(log, id, 2)
    await cache.load(id)
    t.ok(cache.cached('c0'), 'the one in use stays')
  }
  const held = ids.filter(id => cache.cached(id) !== undefined)
  t.ok(held.length >= 5 && held.length < 20, `${held.length} of 30`)
})

t.test('states are loaded from their snapshots', async t => {
  const read: number[] = []
  const memory = new MemoryEventLog()
  const log: EventLog = {
    streamOf: given => memory.streamOf(given),
    append: (...given) => memory.append(...given),
    last: given => memory.last(given),
    read: (aggregate, after) => {
      read.push(after)
      return memory.read(aggregate, after)
    },
  }
  const { cache, snapshots } = setUp({ log })
  await fill(memory, 'c1', 300)
  const all = (await cache.load('c1')).state
  t.equal((await snapshots.load(ref('c1')))?.streamSeq, 300, 'created after reading this many events')
  await fill(memory, 'c1', 310)
  cache.drop('c1')
  const { state } = await cache.load('c1')
  t.same(read, [0, 300])
  t.equal(state.seq, 310)
  t.equal(state.n, 309)
  t.equal(all.seq, 300)
})

t.test('an outdated or invalid snapshot only costs time', async t => {
  for (const snapshot of [
    { version: 99, streamSeq: 5, data: new Uint8Array() },
    { version: 1, streamSeq: 5, data: new TextEncoder().encode('{') },
  ]) {
    const snapshots: SnapshotStore = { load: async () => snapshot, save: async () => {} }
    const { log, cache } = setUp({ snapshots })
    await fill(log, 'c1', 10)
    t.equal((await cache.load('c1')).state.seq, 10)
  }
})

t.test('snapshots that cannot be stored or loaded do no harm', async t => {
  const fails = () => Promise.reject(new ConfabError('UNAVAILABLE'))
  const { log, cache } = setUp({ snapshots: { load: fails, save: fails } })
  await fill(log, 'c1', 600)
  t.equal((await cache.load('c1')).state.seq, 600)
})

t.test('reload reads the whole log again, with or without a snapshot', async t => {
  const { log, cache, snapshots } = setUp()
  await fill(log, 'c1', 300)
  await cache.load('c1')
  await snapshots.save(ref('c1'), {
    version: 1,
    streamSeq: 9999,
    data: conversationType.serialise((await cache.load('c1')).state),
  })
  cache.drop('c1')
  const entry = await cache.reload('c1')
  t.equal(entry.state.seq, 300)
  t.equal(entry.state.streamSeq, 300)
})

t.test('another node’s event for the same command replaces the local decision', async t => {
  const { log, cache } = setUp()
  await fill(log, 'c1', 3)
  const entry = await cache.load('c1')
  const theirs = eventOf('c1', 4)
  const ours = { ...theirs, n: 2 } as ConversationEvent
  entry.pending = [{ seq: 4, commandId: 'c1-4', event: ours, data: encodeBody(ours) }]
  await fill(log, 'c1', 4)
  cache.feed(log.stream('CONV_0')[3]!)
  t.equal(entry.state.n, 3)
})

/** A log that lacks some events of `c1`, by seq. */
const damagedLog = (memory: MemoryEventLog, lost: readonly number[]): EventLog => ({
  streamOf: given => memory.streamOf(given),
  append: (...given) => memory.append(...given),
  async last(aggregate) {
    let last: StoredEvent | undefined
    for await (const batch of this.read(aggregate, 0)) last = batch.at(-1) ?? last
    return last
  },
  async *read(aggregate, after) {
    for await (const batch of memory.read(aggregate, after))
      yield batch.filter(({ envelope }) => !lost.includes(envelope.seq))
  },
})

t.test('a log that lacks an event: loading names the first missing one', async t => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 12 }),
        fc.boolean(),
        async (count, lost, hasView) => {
          const memory = new MemoryEventLog()
          await fill(memory, 'c1', count)
          const { cache } = setUp({
            log: damagedLog(memory, lost),
            ...(hasView ? { viewHead: async () => count } : {}),
          })
          const missing = Array.from({ length: count }, (_, i) => i + 1).filter(seq => lost.includes(seq))
          const kept = count - missing.length
          // Without a view nothing shows that the last events are gone.
          const isSeen = hasView ? missing.length > 0 : missing.some(seq => seq <= kept)
          const outcome = await cache.load('c1').catch((error: unknown) => error)
          if (!isSeen) {
            if ((outcome as { state: ConversationState }).state.seq !== kept)
              throw new Error(`seq is not ${kept}`)
          } else if (!LogDamagedError.is(outcome) || outcome.seq !== missing[0])
            throw new Error(`${String(outcome)}, not ${missing[0]}`)
        },
      ),
    ),
  )
})

t.test('a view that fails, or does not answer, delays no load for long and prevents none', async t => {
  for (const viewHead of [
    () => Promise.reject(new Error('no view')),
    () => new Promise<number>(() => {}),
    async () => 0,
    async () => 3,
  ]) {
    const { log, cache } = setUp({ viewHead })
    await fill(log, 'c1', 5)
    t.equal((await cache.load('c1')).state.seq, 5)
  }
})
