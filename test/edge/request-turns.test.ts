import fc from 'fast-check'
import t from 'tap'
import {
  afterEarlier,
  afterPreparation,
  mustWait,
  untilAnswered,
} from '../../src/edge/requests/request-order.ts'
import { Session } from '../../src/edge/sessions/session.ts'

/** Resolves after some turns of the microtask queue. */
const ticks = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await undefined
}

const request = fc.record({
  c: fc.constantFrom('tea', 'milk'),
  kind: fc.constantFrom('plain', 'prepared', 'membership'),
  /** Turns of the microtask queue until it arrives after the one before, and until its parts settle. */
  arrives: fc.nat(6),
  preparation: fc.nat(20),
  answer: fc.nat(20),
  fails: fc.constantFrom('no', 'first preparation', 'preparation', 'command'),
})

t.test(
  'the bus is called in the order of the requests, whenever they arrive and whatever fails',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { maxLength: 20 }), async requests => {
        const session = new Session('json', undefined, 0)
        const called: Record<string, number[]> = { tea: [], milk: [] }
        const expected: Record<string, number[]> = { tea: [], milk: [] }
        const answers: Promise<unknown>[] = []
        for (const [index, { c, kind, arrives, preparation, answer, fails }] of requests.entries()) {
          await ticks(arrives)
          const call = async () => {
            called[c]!.push(index)
            await ticks(answer)
            if (fails === 'command') throw new Error('refused')
            return index
          }
          const prepare = async (isFirst: boolean) => {
            await ticks(preparation)
            if (fails === 'preparation' || (fails === 'first preparation' && isFirst))
              throw new Error('not ready')
          }
          const isBehind = mustWait(session, c)
          const isCalled =
            kind !== 'prepared' ||
            fails === 'no' ||
            fails === 'command' ||
            (fails === 'first preparation' && isBehind)
          if (isCalled) expected[c]!.push(index)
          const result =
            kind === 'membership'
              ? untilAnswered(session, c, call)
              : kind === 'prepared'
                ? afterPreparation(session, c, prepare(true), () => prepare(false), call)
                : isBehind
                  ? afterEarlier(session, c, call)
                  : call()
          answers.push(result.catch(() => {}))
        }
        await Promise.all(answers)
        return JSON.stringify(called) === JSON.stringify(expected) && session.turns === undefined
      }),
      { numRuns: 1_000 },
    )
  },
)

t.test('commands behind a change of members wait for its answer, others only for the call', async t => {
  const session = new Session('json', undefined, 0)
  const answer = Promise.withResolvers<void>()
  const called: string[] = []
  const call = (name: string, until: Promise<void>) => () => {
    called.push(name)
    return until
  }
  const joined = untilAnswered(session, 'tea', call('join', answer.promise))
  const never = new Promise<void>(() => {})
  void afterEarlier(session, 'tea', call('send', never))
  void afterPreparation(session, 'tea', Promise.resolve(), async () => {}, call('send with a file', never))
  void afterEarlier(session, 'tea', call('edit', never))
  await ticks(50)
  t.same(called, ['join'])
  answer.resolve()
  await joined
  await ticks(50)
  t.same(called, ['join', 'send', 'send with a file', 'edit'])
  t.notOk(mustWait(session, 'tea'))
})

t.test('requests without a session have no order', async t => {
  t.equal(mustWait(undefined, 'tea'), false)
  t.equal(await untilAnswered(undefined, 'tea', async () => 1), 1)
  t.equal(
    await afterPreparation(
      undefined,
      'tea',
      Promise.resolve(1),
      async () => 2,
      async n => n,
    ),
    1,
  )
})
