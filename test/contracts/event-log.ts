import fc from 'fast-check'
import type { Test } from 'tap'
import { ConflictError, type EventLog, type NewEvent } from '../../src/commands/index.ts'
import type { AggregateRef, StoredEvent } from '../../src/events/index.ts'
import { conversation, newEvent, newEvents, user } from './new-events.ts'

const readAll = async (log: EventLog, aggregate: AggregateRef, after = 0): Promise<StoredEvent[]> => {
  const all: StoredEvent[] = []
  for await (const batch of log.read(aggregate, after)) all.push(...batch)
  return all
}

const idsOf = (events: readonly (StoredEvent | NewEvent)[]): string[] =>
  events.map(({ envelope }) => envelope.commandId)

/**
 * The contract of EventLog. `open` returns a log that may hold other aggregates' events, and closes it with the test.
 */
export const testEventLog = (t: Test, open: (t: Test) => Promise<EventLog>): void => {
  t.test('an aggregate without events has no last one and reads as empty', async t => {
    const log = await open(t)
    t.equal(await log.last(conversation()), undefined)
    t.same(await readAll(log, conversation()), [])
  })

  t.test('appended events are read unchanged and in order', async t => {
    const log = await open(t)
    const aggregate = conversation()
    const traced = newEvent(2, {
      keyId: 'k1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    })
    const first = await log.append(aggregate, 0, [newEvent(1)])
    t.equal(first.duplicate, false)
    await log.append(conversation(), 0, [newEvent(1)])
    const second = await log.append(aggregate, first.position.streamSeq, [traced])
    t.equal(second.position.stream, first.position.stream)
    t.ok(second.position.streamSeq > first.position.streamSeq)

    const events = await readAll(log, aggregate)
    t.same(
      events.map(({ envelope }) => envelope.seq),
      [1, 2],
    )
    const last = events.at(-1)
    t.same(last?.envelope, traced.envelope)
    t.same(last?.aggregate, aggregate)
    t.equal(Buffer.compare(last?.data ?? Buffer.alloc(0), traced.data), 0, 'byte for byte')
    t.same({ stream: last?.stream, streamSeq: last?.streamSeq }, second.position)
    t.same((await log.last(aggregate))?.envelope, traced.envelope)
    t.same(
      idsOf(await readAll(log, aggregate, first.position.streamSeq)),
      idsOf([traced]),
      'after a sequence',
    )
    t.same(await readAll(log, aggregate, second.position.streamSeq), [])
  })

  t.test('a conversation and a user with the same id are separate', async t => {
    const log = await open(t)
    const id = conversation().id
    await log.append(conversation(id), 0, [newEvent(1)])
    await log.append(user(id), 0, newEvents(1, 2))
    t.equal((await readAll(log, conversation(id))).length, 1)
    t.equal((await readAll(log, user(id))).length, 2)
  })

  t.test('an append with another expectation is a conflict and appends nothing', async t => {
    const log = await open(t)
    const aggregate = conversation()
    await t.rejects(log.append(aggregate, 7, [newEvent(1)]), ConflictError)
    const { position } = await log.append(aggregate, 0, [newEvent(1)])
    await t.rejects(log.append(aggregate, 0, [newEvent(1)]), ConflictError)
    await t.rejects(log.append(aggregate, position.streamSeq + 1, [newEvent(2)]), ConflictError)
    await t.rejects(log.append(aggregate, 0, newEvents(1, 3)), ConflictError)
    t.equal((await readAll(log, aggregate)).length, 1)
  })

  t.test('of several appends with one expectation, one wins', async t => {
    const log = await open(t)
    const aggregate = conversation()
    const { position } = await log.append(aggregate, 0, [newEvent(1)])
    const outcomes = await Promise.allSettled(
      Array.from({ length: 64 }, (_, index) =>
        log.append(aggregate, position.streamSeq, index % 8 === 7 ? newEvents(2, 2) : [newEvent(2)]),
      ),
    )
    const lost = outcomes.filter(outcome => outcome.status === 'rejected')
    t.equal(lost.length, 63)
    t.ok(lost.every(({ reason }) => ConflictError.is(reason)))
    const seqs = (await readAll(log, aggregate)).map(({ envelope }) => envelope.seq)
    t.ok(seqs.length === 2 || seqs.length === 3)
    t.same(seqs, [1, 2, 3].slice(0, seqs.length))
  })

  t.test('several events are appended together, all or none', async t => {
    const log = await open(t)
    const aggregate = conversation()
    const events = newEvents(1, 1000)
    const { position } = await log.append(aggregate, 0, events)
    await log.append(aggregate, position.streamSeq, newEvents(1001, 2))
    const stored = await readAll(log, aggregate)
    t.equal(stored.length, 1002)
    t.same(idsOf(stored.slice(0, 1000)), idsOf(events))
    t.equal(stored[999]?.streamSeq, position.streamSeq)
    t.ok(stored.every(({ envelope }, index) => envelope.seq === index + 1))
    await t.rejects(log.append(aggregate, position.streamSeq, []), TypeError)
    await t.rejects(log.append(aggregate, position.streamSeq, newEvents(1003, 1001)), TypeError)
  })

  // A repeat of an append without an answer. Adapters check the id or the expectation first: both answers are allowed,
  // and the caller looks for its id in the aggregate's tail on a conflict.
  t.test('a repeated append never appends again: it is a duplicate or a conflict', async t => {
    const log = await open(t)
    for (const events of [[newEvent(1)], newEvents(1, 5)]) {
      const aggregate = conversation()
      const { position } = await log.append(aggregate, 0, events)
      const again = await log.append(aggregate, 0, events).catch((error: unknown) => error)
      if (ConflictError.is(again)) t.pass('a conflict')
      else t.same(again, { position, duplicate: true })
      t.same(idsOf(await readAll(log, aggregate)), idsOf(events))
    }
  })

  t.test('a recent command id is a duplicate, even with the right expectation', async t => {
    const log = await open(t)
    const aggregate = conversation()
    const event = newEvent(1)
    const { position } = await log.append(aggregate, 0, [event])
    t.same(await log.append(aggregate, position.streamSeq, [event]), { position, duplicate: true })
    await t.rejects(
      log.append(aggregate, position.streamSeq, [newEvent(2), event]),
      ConflictError,
      'one of several',
    )
    t.equal((await readAll(log, aggregate)).length, 1)
  })

  t.test('a read includes every event that was acknowledged before it', async t => {
    const log = await open(t)
    const aggregate = conversation()
    let expected = 0
    for (let seq = 1; seq <= 50; seq++) {
      expected = (await log.append(aggregate, expected, [newEvent(seq)])).position.streamSeq
      t.equal((await readAll(log, aggregate)).length, seq)
      t.equal((await log.last(aggregate))?.streamSeq, expected)
    }
  })

  t.test('any series of appends stores exactly those without a conflict', async t => {
    const log = await open(t)
    const step = fc.record({
      of: fc.nat({ max: 2 }),
      count: fc.integer({ min: 1, max: 4 }),
      stale: fc.boolean(),
      again: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async steps => {
        const models = [conversation(), conversation(), user()].map(aggregate => ({
          aggregate,
          expected: 0,
          before: 0,
          ids: [] as string[],
          last: [] as NewEvent[],
        }))
        for (const { of, count, stale, again } of steps) {
          const model = models[of]
          if (model === undefined) continue
          const repeated = again && model.last.length > 0
          const events = repeated ? model.last : newEvents(model.ids.length + 1, count)
          const isStale = stale && model.expected > 0
          try {
            const appended = await log.append(
              model.aggregate,
              isStale ? model.before : model.expected,
              events,
            )
            if (appended.duplicate !== repeated) return false
            if (repeated) continue
            if (isStale) return false
            model.before = model.expected
            model.expected = appended.position.streamSeq
            model.ids.push(...idsOf(events))
            model.last = events
          } catch (error) {
            if (!ConflictError.is(error) || !(isStale || repeated)) throw error
          }
        }
        for (const { aggregate, ids } of models)
          if (idsOf(await readAll(log, aggregate)).join() !== ids.join()) return false
        return true
      }),
      { numRuns: 30 },
    )
  })
}
