import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { compareGenerations, openFeed, ProjectionRunner } from '../../../src/projections/index.ts'
import { service } from '../../harness/service.ts'
import { conversations, historyOf, stepsOf, vocabulary } from '../../projections/history.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { modelOf } from '../../projections/model-views.ts'
import { searchAll } from '../../projections/read-views.ts'
import { quiet, runToEnd, untilLevel } from '../../projections/run-to-end.ts'
import { openOn, viewsOf } from './own-index.ts'
import { ownServer } from './own-server.ts'

const streams = historyOf(fc.sample(stepsOf(6_000, 6_000), { numRuns: 1, seed: 11 })[0] ?? [])

if ((await service(t, 'elasticsearch')) !== undefined)
  t.test('the server is killed, suspended and unreachable during a load', { timeout: 560_000 }, async t => {
    const server = await ownServer(t)
    if (server === undefined) return
    // Creating an index can take seconds on a busy machine, and a process would retry it. The short timeout below is
    // for the load: it decides how soon a suspended server is noticed.
    const patient = openOn(t, server.url, { prefix: 'hurt', timeoutMs: 60_000 })
    for (const generation of [1, 2]) await patient.stores.open('search', generation)
    const elasticsearch = openOn(t, server.url, { prefix: 'hurt', timeoutMs: 3_000 })
    const { stores } = elasticsearch
    const source = new MemorySource(streams)
    const runner = new ProjectionRunner({ source, stores, log: quiet, batch: 20 })
    const total = Object.values(streams).flat().length
    const states = () => runner.status().flatMap(({ streams }) => streams)
    const applied = () => states().reduce((sum, { position }) => sum + position, 0)
    const isFailing = () => states().some(({ state }) => state === 'failing')
    const until = async (holds: () => boolean) => {
      while (!holds()) await sleep(5)
    }
    await runner.start()

    const at: number[] = []
    const some = async (count: number) => {
      const from = applied()
      await until(() => applied() >= from + count)
      at.push(applied())
    }
    for (let round = 0; round < 2; round++) {
      await some(200 + Math.random() * 100)
      await server.kill()
      await until(isFailing)
      await sleep(200)
      await server.start()
      await some(100 + Math.random() * 100)
      await server.pause()
      await until(isFailing)
      await t.rejects(elasticsearch.searchAt({}).search({ q: 'hello', conversations, limit: 1 }), {
        code: 'UNAVAILABLE',
      })
      await server.resume()
    }
    t.ok(
      at.every(place => place < total),
      `${at.join(', ')} of ${total} events`,
    )
    await untilLevel(runner, source)
    t.notOk(isFailing())
    t.same(
      states().map(({ deadLetters }) => deadLetters),
      Object.keys(streams).map(() => 0),
    )
    await runner.stop()

    // The same log again, into another generation, without failures.
    const again = new MemorySource(streams)
    const feed = await openFeed(stores, 'search', 2)
    await runToEnd(new ProjectionRunner({ source: again, stores, log: quiet, feeds: [feed] }), again)
    const [first, second] = [await stores.open('search', 1), await stores.open('search', 2)]
    const { rows, different } = await compareGenerations(
      () => first.rows(),
      () => second.rows(),
    )
    t.same(different, [])
    t.ok(rows.a > 100 && rows.a === rows.b, `${rows.a} messages`)

    const model = modelOf(streams)
    const views = viewsOf(elasticsearch)
    await views.positions('search')
    for (const [i, [, q]] of vocabulary.entries())
      t.same((await searchAll(views, q, conversations)).sort(), model.found([i], conversations).sort(), q)
  })
