import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { type ConfabProcess, readinessOf, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { fullStack } from '../harness/full-stack.ts'
import { ackedAreStored, clientsSawTheLog, seqsAreGapless } from '../harness/invariants.ts'
import { startLoad } from '../harness/load.ts'
import { startNats } from '../harness/nats.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const secret = 'a secret of at least thirty-two bytes'
const users = ['alice', 'bob', 'carol']
const conversations = Array.from({ length: 6 }, (_, i) => `c${i}`)
const words = ['word1', 'word6', 'carol', 'number*']

/**
 * How long Elasticsearch stays down once it is missed, s. CONFAB_TEST_AWAY=600 TAP_TIMEOUT=1500 simulates a long
 * outage.
 */
const awaySeconds = Number(process.env.CONFAB_TEST_AWAY ?? 0)

const until = async (holds: () => boolean | Promise<boolean>): Promise<void> => {
  while (!(await holds())) await sleep(25)
}

t.test(
  'views on Cassandra and Elasticsearch, with workers that die under load',
  { timeout: (240 + 2 * awaySeconds) * 1000 },
  async t => {
    const stack = await fullStack(t)
    if (stack === undefined) return
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const running: ConfabProcess[] = []
    const start = async (roles: string, name: string, env: Record<string, string> = stack.env) => {
      const args = ['--roles', roles]
      const confab = await spawnConfab({ data: join(folder, name), nats: nats.url, secret, args, env })
      running.push(confab)
      return confab
    }
    t.teardown(() => Promise.all(running.map(confab => confab.stop())))
    const edge = await start('edge,commands', 'edge')
    const first = await start('projections', 'first')
    const second = await start('projections', 'second')
    for (const confab of running) await untilReady(confab)

    const load = await startLoad(edge, { users, conversations, pauseMs: awaySeconds > 60 ? 100 : 4 })
    const more = async (count: number): Promise<void> => {
      const wanted = load.acked.length + count
      await until(() => load.acked.length >= wanted)
    }
    await more(200)
    await first.kill9()
    await more(200)
    const third = await start('projections', 'third')
    await untilReady(third)
    await more(100)

    // A resumed worker finds its streams taken over: its late writes are harmless, and it gets no further.
    process.kill(second.pid, 'SIGSTOP')
    await sleep(5_000)
    await more(200)
    process.kill(second.pid, 'SIGCONT')
    await more(200)
    // It releases the streams that it was fenced off from, and works normally afterwards.
    await untilReady(second)

    stack.elasticsearch.block(true)
    const workers = [second, third]
    const failing = async (): Promise<string[]> => {
      const told = (await Promise.all(workers.map(readinessOf))).flatMap(({ parts }) =>
        Object.keys(parts).filter(part => parts[part] === 'failing'),
      )
      return [...new Set(told)]
    }
    /** Retries: the stream may just have changed its owner. */
    const untilSomeFail = async (): Promise<string[]> => {
      for (;;) {
        const views = await failing()
        if (views.length > 0) return views
        await sleep(25)
      }
    }
    await more(200)
    await untilSomeFail()
    for (const { ok, parts } of await Promise.all(workers.map(readinessOf)))
      t.ok(ok, 'a view that lags is no reason to end', { parts })
    const token = await edge.token('alice')
    const search = await fetch(`${edge.url}/v1/search?q=word1`, {
      headers: { authorization: `Bearer ${token}` },
    })
    t.equal(search.status, 503, 'the search is unavailable')
    t.match(await search.json(), { error: { code: 'UNAVAILABLE', retryable: true } })
    await sleep(awaySeconds * 1000)
    await more(200)
    t.same(
      await untilSomeFail(),
      ['view search'],
      'the search is still unavailable, and no other view is delayed',
    )
    stack.elasticsearch.block(false)
    const backAt = performance.now()
    await until(async () => (await failing()).length === 0)
    t.comment(`search works ${Math.round(performance.now() - backAt)} ms after Elasticsearch returned`)
    await more(100)
    await load.end()

    // The same log, in SQLite, from the start.
    const embedded = await start('edge,commands,projections', 'embedded', {})
    await untilReady(embedded)
    await untilLevel(...workers)
    await untilLevel(embedded)
    const viewsOf = (server: ConfabProcess) => () => readViews(server, users, words)
    await sameViews(t, { actual: viewsOf(edge), expected: viewsOf(embedded) }, 'views equal those on SQLite')
    const answers = Object.keys(await readViews(embedded, users, words))
    t.ok(answers.length > users.length * conversations.length)

    const log = await replayLog(['--nats', nats.url])
    for (const client of load.clients)
      for (const c of conversations) await until(() => client.head(c) >= log.get(c)!.length)
    ackedAreStored(t, log, load.acked)
    seqsAreGapless(t, log)
    clientsSawTheLog(t, log, load.clients)
    await Promise.all(load.clients.map(client => client.stop()))
    t.comment(`${load.acked.length} messages acked`)
  },
)
