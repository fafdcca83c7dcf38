import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { readUntil } from '../../src/cli/command/read-until.ts'

const nats = { onChange: () => () => {} }

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

t.test('yields all batches to the end', async t => {
  const batches = async function* () {
    yield* [1, 2, 3]
  }
  const got: number[] = []
  for await (const batch of readUntil(batches(), new AbortController().signal, nats)) got.push(batch)
  t.same(got, [1, 2, 3])
})

t.test('an abort ends it while it waits and while the caller works', async t => {
  const batches = async function* () {
    yield 1
    await new Promise(() => {})
  }
  for (const when of ['working', 'waiting'] as const) {
    const controller = new AbortController()
    const got: number[] = []
    for await (const batch of readUntil(batches(), controller.signal, nats)) {
      got.push(batch)
      if (when === 'working') controller.abort()
      else setImmediate(() => controller.abort())
    }
    t.same(got, [1], when)
  }
  for await (const batch of readUntil(batches(), AbortSignal.abort(), nats)) t.fail(`${batch} came`)
})

t.test('an error of the source is thrown', async t => {
  // biome-ignore lint/correctness/useYield: it fails before the first yield.
  const batches = async function* (): AsyncGenerator<number> {
    throw new Error('gone')
  }
  const read = async () => {
    for await (const batch of readUntil(batches(), new AbortController().signal, nats))
      t.fail(`${batch} came`)
  }
  await t.rejects(read(), { message: 'gone' })
})

t.test('does not keep batches in memory', async t => {
  const batches = async function* () {
    for (let i = 0; i < 100; i++) yield { i }
  }
  const read: WeakRef<object>[] = []
  for await (const batch of readUntil(batches(), new AbortController().signal, nats)) {
    read.push(new WeakRef(batch))
    if (batch.i !== 50) continue
    // After a tick, references of this function do not count any more.
    await new Promise(resolve => setImmediate(resolve))
    collectGarbage()
    const kept = read.slice(0, 40).filter(reference => reference.deref() !== undefined)
    t.equal(kept.length, 0)
  }
})
