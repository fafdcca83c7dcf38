import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import {
  drop,
  firstPlan,
  type PlanStore,
  type ProjectionPlan,
  rebuild,
  setPaused,
  switchTo,
} from '../../src/projections/index.ts'

/**
 * The contract of PlanStore. `open` returns an empty one; further calls of the result open others on the same place.
 */
export const testPlanStore = (t: Test, open: (t: Test) => Promise<() => Promise<PlanStore>>): void => {
  t.test('a plan is the result of the last change', async t => {
    const plans = await (await open(t))()
    t.equal(await plans.read('inbox'), undefined)
    t.same(await plans.update('inbox', plan => plan ?? firstPlan(3)), firstPlan(3))
    t.same(await plans.update('inbox', plan => plan && rebuild(plan, 3)), rebuild(firstPlan(3), 3))
    t.equal(await plans.update('inbox', () => undefined), undefined, 'no change')
    t.same(await plans.read('inbox'), rebuild(firstPlan(3), 3))
    t.equal(await plans.read('roster'), undefined, 'each projection has its own')
    await t.rejects(
      plans.update('inbox', plan => plan && rebuild(plan, 3)),
      {
        code: 'GENERATION_IS_BUILDING',
      },
    )
    await t.rejects(
      plans.update('inbox', plan => plan && drop(plan, 1)),
      { code: 'GENERATION_IS_LIVE' },
    )
    await t.rejects(
      plans.update('inbox', plan => plan && switchTo(plan, 9)),
      { code: 'NO_SUCH_GENERATION' },
    )
  })

  t.test('concurrent changes are ordered', async t => {
    const another = await open(t)
    const stores = [await another(), await another()]
    await stores[0]?.update('search', () => firstPlan(1))
    const bump = (plan: ProjectionPlan | undefined) => plan && { ...plan, next: plan.next + 1 }
    await Promise.all(
      Array.from({ length: 10 }, (_, i) => stores[i % 2]?.update('search', bump) ?? Promise.reject()),
    )
    t.equal((await stores[1]?.read('search'))?.next, 12)
  })

  t.test('a watcher receives existing plans and each change', async t => {
    const another = await open(t)
    const plans = await another()
    await plans.update('timeline', () => firstPlan(1))
    const told: string[] = []
    const unwatch = await (await another()).watch((projection, { paused }) =>
      told.push(`${projection} ${paused}`),
    )
    t.same(told, ['timeline false'])
    await plans.update('roster', () => firstPlan(1))
    await plans.update('timeline', plan => plan && setPaused(plan, true))
    while (told.length < 3) await sleep(10)
    t.same(told.slice(1).sort(), ['roster false', 'timeline true'])
    unwatch()
    await plans.update('timeline', plan => plan && setPaused(plan, false))
    await sleep(600)
    t.equal(told.length, 3)
  })
}
