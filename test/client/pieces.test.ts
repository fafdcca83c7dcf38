import fc from 'fast-check'
import t from 'tap'
import { backoff } from '../../src/client/backoff.ts'
import { Emitter, EventQueue } from '../../src/client/emitter.ts'
import { uuidV7 } from '../../src/client/uuid-v7.ts'

t.test('UUIDv7: form, time, order', async t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), now => {
      const id = uuidV7(now)
      const time = Number.parseInt(id.slice(0, 13).replace('-', ''), 16)
      return (
        /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id) &&
        time === now &&
        id < uuidV7(now + 1)
      )
    }),
  )
  t.equal(new Set(Array.from({ length: 1000 }, () => uuidV7())).size, 1000)
})

t.test('back-off doubles up to its bound, with full jitter', async t => {
  t.same(
    [0, 1, 2, 10, 10_000].map(failed => backoff(failed, 250, 15_000, 1)),
    [250, 500, 1_000, 15_000, 15_000],
  )
  t.equal(backoff(5, 250, 15_000, 0), 0)
})

t.test('a listener that throws does not stop the others', async t => {
  const emitter = new Emitter<{ a: number }>()
  const seen: number[] = []
  const off = emitter.on('a', () => {
    throw new Error('mine')
  })
  emitter.on('a', value => void seen.push(value))
  const uncaught = new Promise<Error>(resolve => process.once('uncaughtException', resolve))
  emitter.emit('a', 1)
  t.same(seen, [1])
  t.equal((await uncaught).message, 'mine', 'its error is not swallowed')
  off()
  emitter.emit('a', 2)
  t.same(seen, [1, 2])
})

t.test('a queue of events', async t => {
  let ends = 0
  const queue = new EventQueue<number>(2, () => ends++)
  const first = queue.next()
  queue.push(1)
  t.same(await first, { value: 1, done: false }, 'reaches the waiting reader')
  queue.push(2)
  queue.push(3)
  queue.push(4)
  t.same(await queue.next(), { value: 2, done: false })
  t.same(await queue.next(), { value: 3, done: false })
  await t.rejects(queue.next(), /2 events behind/, 'beyond its bound it throws')
  t.same(await queue.next(), { value: undefined, done: true })
  t.equal(ends, 1)

  const left = new EventQueue<number>(2, () => ends++)
  left.push(1)
  for await (const value of left) {
    t.equal(value, 1)
    break
  }
  t.equal(ends, 2, 'a reader that stops ends it')
})
