import fc from 'fast-check'
import t from 'tap'
import {
  createCommandBus,
  createLogLookup,
  createStates,
  createViewLookup,
  type EventLog,
  type MessageIndex,
  type MessageRef,
} from '../../src/commands/index.ts'
import { type ConversationRequest, decodeConversationEvent, fingerprintOf } from '../../src/events/index.ts'
import { MemoryEventLog, MemoryLiveFeed, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { at } from './given.ts'

/** Returns a log with `messages` messages; every fifth is deleted three messages later. */
const filledLog = async (c: string, messages: number): Promise<MemoryEventLog> => {
  const log = new MemoryEventLog()
  const states = createStates({ log, snapshots: new MemorySnapshotStore(), feed: new MemoryLiveFeed(log) })
  const bus = createCommandBus({
    log,
    lookup: createLogLookup(log),
    states,
  })
  const run = (request: ConversationRequest) => bus.execute(request, { from: 'alice', at })
  await run({ id: '1', t: 'create', c, kind: 'group', members: [] })
  for (let i = 0; i < messages; i++) {
    await run({ id: '1', t: 'send', c, m: `m${i}`, text: `hi ${i}` })
    if (i >= 3 && i % 5 === 3) await run({ id: '1', t: 'delete', c, m: `m${i - 3}` })
  }
  return log
}

/** Returns a view as of event `seq`. */
const viewUpTo = (log: MemoryEventLog, seq: number): MessageIndex => {
  const stored = log.stream('CONV_0').slice(0, seq)
  const messages = new Map<string, MessageRef>()
  for (const event of stored.map(decodeConversationEvent))
    if (event.type === 'message.posted') {
      const { m, from } = event
      const fingerprint = fingerprintOf(event)
      messages.set(m, { m, seq: event.seq, from, at: event.at, deleted: false, fingerprint })
    } else if (event.type === 'message.deleted')
      messages.set(event.m, { ...messages.get(event.m)!, deleted: true })
  const last = stored.at(-1)
  return {
    findMessage: async (_c, m) => messages.get(m),
    head: async () => last && { seq: last.envelope.seq, streamSeq: last.streamSeq },
  }
}

t.test('a look-up is exact at any position of the view', async t => {
  const log = await filledLog('c1', 60)
  const { length } = log.stream('CONV_0')
  const truth = viewUpTo(log, length)
  const whole = createLogLookup(log)
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: length }), fc.nat({ max: 65 }), async (view, i) => {
      const m = `m${i}`
      const expected = await truth.findMessage('c1', m)
      t.strictSame(await createViewLookup(viewUpTo(log, view), log).find('c1', m, length), expected)
      t.strictSame(await whole.find('c1', m, length), expected)
    }),
  )
})

t.test('a look-up stays exact while the view moves, also backwards', async t => {
  const log = await filledLog('c1', 60)
  const { length } = log.stream('CONV_0')
  const truth = viewUpTo(log, length)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat({ max: length }), fc.nat({ max: 65 }), fc.nat({ max: length })), {
        minLength: 1,
      }),
      async steps => {
        let view = viewUpTo(log, 0)
        const moving: MessageIndex = {
          findMessage: (c, m) => view.findMessage(c, m),
          head: c => view.head(c),
        }
        const lookup = createViewLookup(moving, log)
        for (const [at, i, upTo] of steps) {
          view = viewUpTo(log, at)
          const found = await lookup.find('c1', `m${i}`, upTo)
          const expected = await truth.findMessage('c1', `m${i}`)
          if (expected !== undefined && expected.seq <= upTo) t.equal(found?.seq, expected.seq)
          if (found !== undefined) t.equal(found.seq, expected?.seq)
        }
      },
    ),
  )
})

t.test('the part of the log that was read is kept and extended', async t => {
  const log = await filledLog('c1', 500)
  const reads: number[] = []
  const counted: EventLog = {
    streamOf: given => log.streamOf(given),
    append: (...given) => log.append(...given),
    last: given => log.last(given),
    read: (aggregate, after) => {
      reads.push(after)
      return log.read(aggregate, after)
    },
  }
  const lookup = createLogLookup(counted)
  const found = await Promise.all(Array.from({ length: 500 }, (_, i) => lookup.find('c1', `m${i}`, 100)))
  t.ok(found.every(message => message !== undefined))
  t.same(reads, [0])
  const tiny = createLogLookup(counted, 1)
  t.equal((await tiny.find('c1', 'm1', 100))?.m, 'm1', 'without room to keep it, the look-up is still exact')
})

t.test('an unknown result is UNAVAILABLE, not a no', async t => {
  const log = await filledLog('c1', 5)
  await t.rejects(createLogLookup(log).find('c1', 'm1', 1000), { code: 'UNAVAILABLE' })
  const broken: MessageIndex = {
    findMessage: () => Promise.reject(new Error('disk I/O error')),
    head: async () => ({ seq: 5, streamSeq: 5 }),
  }
  await t.rejects(createViewLookup(broken, log).find('c1', 'm1', 3), { code: 'UNAVAILABLE' })
})

t.test('a look-up does not pass over an event that the log lacks', async t => {
  const log = await filledLog('c1', 20)
  const lost: EventLog = {
    streamOf: given => log.streamOf(given),
    append: (...given) => log.append(...given),
    last: given => log.last(given),
    async *read(aggregate, after) {
      for await (const batch of log.read(aggregate, after)) yield batch.filter(one => one.envelope.seq !== 7)
    },
  }
  const { length } = log.stream('CONV_0')
  await t.rejects(createLogLookup(lost).find('c1', 'm1', length), { code: 'LOG_DAMAGED', field: '/c' })
  await t.rejects(createViewLookup(viewUpTo(log, 6), lost).find('c1', 'm1', length), { code: 'LOG_DAMAGED' })
  t.match(await createViewLookup(viewUpTo(log, 7), lost).find('c1', 'm1', length), { m: 'm1' })
})
