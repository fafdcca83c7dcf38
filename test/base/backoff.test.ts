import t from 'tap'
import { backoffMs, retry } from '../../src/base/backoff.ts'
import { CodedError } from '../../src/base/coded-error.ts'

t.test('the bound of a wait doubles with each failure, up to the largest one', async t => {
  const bounds = [1, 2, 3, 4, 5, 2_000].map(failures =>
    backoffMs(failures, { firstMs: 10, maxMs: 100, jitter: 0 }),
  )
  t.same(bounds, [10, 20, 40, 80, 100, 100])
  for (let i = 0; i < 1_000; i++) {
    const full = backoffMs(2, { firstMs: 10, maxMs: 100 })
    t.ok(full >= 0 && full <= 20)
    const half = backoffMs(2, { firstMs: 10, maxMs: 100, jitter: 0.5 })
    t.ok(half >= 10 && half <= 20)
  }
})

t.test('an operation is repeated until it succeeds', async t => {
  const failures: number[] = []
  let calls = 0
  const result = await retry(
    async () => {
      if (++calls < 4) throw new Error(`failure ${calls}`)
      return 'done'
    },
    { firstMs: 1, maxMs: 2, onFailure: (_error, count) => failures.push(count) },
  )
  t.equal(result, 'done')
  t.same(failures, [1, 2, 3])
})

t.test(
  'the last error is thrown after the last attempt, for other errors, and when the signal aborts',
  async t => {
    let calls = 0
    const fail = async () => {
      throw new Error(`failure ${++calls}`)
    }
    await t.rejects(retry(fail, { firstMs: 1, maxMs: 1, attempts: 3 }), { message: 'failure 3' })
    await t.rejects(retry(fail, { firstMs: 1, maxMs: 1, isRetryable: () => false }), { message: 'failure 4' })
    const aborting = new AbortController()
    const running = retry(fail, { firstMs: 60_000, maxMs: 60_000, jitter: 0, signal: aborting.signal })
    setImmediate(() => aborting.abort())
    await t.rejects(running, { message: 'failure 5' })
  },
)

t.test('a coded error has a name, a code and a cause, and knows its own class', async t => {
  class OneError extends CodedError<'A' | 'B'> {}
  class OtherError extends CodedError<'A'> {}
  const cause = new Error('cause')
  const error = new OneError('B', 'message', cause)
  t.match(error, { name: 'OneError', code: 'B', message: 'message', cause })
  t.notOk('cause' in new OneError('A', 'message'))
  t.ok(OneError.is(error))
  t.ok(CodedError.is(error))
  t.notOk(OtherError.is(error))
  t.notOk(OneError.is(cause))
})
