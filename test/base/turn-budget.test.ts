import t from 'tap'
import { TurnBudget } from '../../src/base/turn-budget.ts'

/** Blocks the thread for at least this time. */
const block = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until; );
}

t.test('jobs run at once while the turn has time left, then in later turns, in order', async t => {
  const turns = new TurnBudget(5)
  const ran: string[] = []
  const job = (name: string, ms: number) =>
    turns.run(async () => {
      block(ms)
      ran.push(name)
      return name
    })
  const first = job('a', 0)
  t.same(ran, ['a'])
  const all = [first, job('b', 6), job('c', 6), job('d', 6)]
  t.same(ran, ['a', 'b'], 'the budget is spent')
  const perTurn: number[] = []
  let isOver = false
  const count = (): void => {
    perTurn.push(ran.length)
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  t.same(await Promise.all(all), ['a', 'b', 'c', 'd'])
  isOver = true
  t.same(ran, ['a', 'b', 'c', 'd'])
  for (const [i, done] of perTurn.entries())
    t.ok(done - (perTurn[i - 1] ?? 2) <= 1, 'one of these jobs a turn')
})

t.test('a job that fails, at once or later, does not stop the others', async t => {
  const turns = new TurnBudget(1)
  const fails = (): Promise<never> =>
    turns.run(async () => {
      block(2)
      throw new Error('no')
    })
  const failed = [fails(), fails(), fails()]
  const fine = turns.run(async () => 'fine')
  for (const each of failed) await t.rejects(each, /no/)
  t.equal(await fine, 'fine')
})
