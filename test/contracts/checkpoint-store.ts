import type { Test } from 'tap'
import { type Checkpoint, FencedError } from '../../src/projections/index.ts'
import type { OpenEmptyViews } from './open-views.ts'

const checkpoint = (
  projection: Checkpoint['projection'],
  stream: string,
  streamSeq: number,
  deadLetters = 0,
): Checkpoint => ({
  projection,
  generation: 1,
  version: 1,
  stream,
  streamSeq,
  deadLetters,
})
const byPlace = (a: Checkpoint, b: Checkpoint) =>
  `${a.projection} ${a.stream} ${a.generation}` < `${b.projection} ${b.stream} ${b.generation}` ? -1 : 1

/** The contract of CheckpointStore, and of `atomically`. `transactional`: whether the stores have transactions. */
export const testCheckpointStore = (t: Test, open: OpenEmptyViews, transactional: boolean): void => {
  t.test('the last checkpoint of each projection and stream is loaded', async t => {
    const { checkpoints } = (await open(t)).stores
    t.same(await checkpoints.load(), [])
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 5), checkpoint('roster', 'CONV_0', 5)], 0)
    await checkpoints.save([checkpoint('inbox', 'USER_0', 1)], 0)
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 9, 2)], 0)
    await checkpoints.save([{ ...checkpoint('inbox', 'CONV_0', 3), generation: 2, version: 7 }], 0)
    t.same([...(await checkpoints.load())].sort(byPlace), [
      checkpoint('inbox', 'CONV_0', 9, 2),
      { ...checkpoint('inbox', 'CONV_0', 3), generation: 2, version: 7 },
      checkpoint('inbox', 'USER_0', 1),
      checkpoint('roster', 'CONV_0', 5),
    ])
    await checkpoints.remove('inbox', 1)
    t.same([...(await checkpoints.load())].sort(byPlace), [
      { ...checkpoint('inbox', 'CONV_0', 3), generation: 2, version: 7 },
      checkpoint('roster', 'CONV_0', 5),
    ])
  })

  t.test('the latest claim of a stream can save, earlier ones cannot', async t => {
    const { checkpoints } = (await open(t)).stores
    const fenced = async (saved: Promise<void>) => t.ok(FencedError.is(await saved.catch(error => error)))
    const first = await checkpoints.claim('CONV_0')
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 1)], first)
    await fenced(checkpoints.save([checkpoint('inbox', 'CONV_0', 2)], 0))
    const second = await checkpoints.claim('CONV_0')
    t.ok(second > first)
    await fenced(
      checkpoints.save([checkpoint('inbox', 'CONV_0', 3), checkpoint('roster', 'CONV_0', 3)], first),
    )
    t.same(await checkpoints.load(), [checkpoint('inbox', 'CONV_0', 1)], 'nothing of it is stored')
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 4)], second)
    await checkpoints.save([checkpoint('inbox', 'USER_0', 4)], 0)
    await checkpoints.remove('inbox', 1)
    await fenced(checkpoints.save([checkpoint('inbox', 'CONV_0', 5)], first))
    const epochs = await Promise.all(Array.from({ length: 5 }, () => checkpoints.claim('CONV_0')))
    t.equal(new Set(epochs).size, 5, 'concurrent claims are ordered')
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 6)], Math.max(...epochs))
  })

  t.test('work runs one at a time, and its error is passed on', { skip: !transactional }, async t => {
    const { stores } = await open(t)
    const order: string[] = []
    const work = (name: string) => async () => {
      order.push(`${name} begins`)
      await new Promise(resolve => setImmediate(resolve))
      order.push(`${name} ends`)
      if (name === 'b') throw new Error('no')
    }
    const all = await Promise.allSettled(['a', 'b', 'c'].map(name => stores.atomically(work(name))))
    t.same(
      all.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    t.same(order, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  t.test('failed work leaves neither rows nor checkpoints', { skip: !transactional }, async t => {
    const { stores, views } = await open(t)
    const work = async () => {
      await stores.roster.apply([{ c: 'c', user: 'ann', seq: 1, role: 'owner' }])
      await stores.checkpoints.save([checkpoint('roster', 'CONV_0', 5)], 0)
      throw new Error('no')
    }
    await t.rejects(stores.atomically(work), /no/)
    t.same(await views.roster.conversationsOf('ann'), { conversations: [], positions: [] })
  })
}
