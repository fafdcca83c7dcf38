import type { Test } from 'tap'
import type { Checkpoint } from '../../src/projections/index.ts'
import type { OpenEmptyViews } from './open-views.ts'

const checkpoint = (
  projection: Checkpoint['projection'],
  stream: string,
  streamSeq: number,
  deadLetters = 0,
): Checkpoint => ({
  projection,
  version: 1,
  stream,
  streamSeq,
  deadLetters,
})
const byPlace = (a: Checkpoint, b: Checkpoint) =>
  `${a.projection} ${a.stream}` < `${b.projection} ${b.stream}` ? -1 : 1

/** What every CheckpointStore promises, and `atomically` with it. `transactional`: whether the stores have transactions. */
export const testCheckpointStore = (t: Test, open: OpenEmptyViews, transactional: boolean): void => {
  t.test('the last checkpoint of each projection and stream is loaded', async t => {
    const { checkpoints } = (await open(t)).stores
    t.same(await checkpoints.load(), [])
    await checkpoints.save([
      checkpoint('inbox', 'CONV_0', 5),
      checkpoint('inbox', 'USER_0', 1),
      checkpoint('roster', 'CONV_0', 5),
    ])
    await checkpoints.save([checkpoint('inbox', 'CONV_0', 9, 2)])
    t.same([...(await checkpoints.load())].sort(byPlace), [
      checkpoint('inbox', 'CONV_0', 9, 2),
      checkpoint('inbox', 'USER_0', 1),
      checkpoint('roster', 'CONV_0', 5),
    ])
    await checkpoints.remove('inbox')
    t.same(await checkpoints.load(), [checkpoint('roster', 'CONV_0', 5)])
  })

  t.test('work is done one at a time, its error is passed on', async t => {
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

  t.test('work that fails leaves neither rows nor checkpoints', { skip: !transactional }, async t => {
    const { stores, views } = await open(t)
    const work = async () => {
      await stores.roster.apply([{ c: 'c', user: 'ann', seq: 1, role: 'owner' }])
      await stores.checkpoints.save([checkpoint('roster', 'CONV_0', 5)])
      throw new Error('no')
    }
    await t.rejects(stores.atomically(work), /no/)
    t.same(await views.roster.conversationsOf('ann'), { conversations: [], positions: [] })
  })
}
