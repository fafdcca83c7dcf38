import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t from 'tap'
import type { PresenceRecord, PresenceStore } from '../../../src/edge/index.ts'
import { applyBuckets, type Nats, openPresenceBucket } from '../../../src/infra/nats/index.ts'
import { startNats } from '../../harness/nats.ts'

const users = (edge: string, shard: number, list: string): PresenceRecord => ({
  of: 'users',
  edge,
  shard,
  users: list,
})
const lives = (edge: string): PresenceRecord => ({ of: 'edge', edge, ttlMs: 2_000 })

/** Follows the bucket and records everything. */
const open = async (t: { teardown(fn: () => unknown): void }, nats: Nats) => {
  const store = await openPresenceBucket(nats)
  t.teardown(() => store.close())
  const heard: string[] = []
  let losses = 0
  store.follow({ heard: record => heard.push(JSON.stringify(record)), lost: () => losses++ })
  const hears = async (record: PresenceRecord) => {
    while (!heard.includes(JSON.stringify(record))) await sleep(20)
  }
  return { store, heard, hears, losses: () => losses }
}

/** Retries until the write succeeds, like the board. */
const putAtLast = async (store: PresenceStore, record: PresenceRecord) => {
  for (;;)
    try {
      await store.put([record], 60_000)
      return
    } catch {
      await sleep(100)
    }
}

t.test(
  'the newest record of each key, also for later followers; expired ones are gone',
  { timeout: 60_000 },
  async t => {
    const nats = await startNats(t)
    const one = await open(t, await nats.connect())
    await one.store.put([lives('a')], 1_000)
    await one.store.put([users('a', 1, ' alice | '), users('a', 2, ' bob | ')], 60_000)
    await one.store.put([users('a', 1, ' | alice ')], 60_000)
    await one.hears(users('a', 1, ' | alice '))
    const manager = await jetstreamManager((await nats.connect()).connection)
    // Two lists remain when the life and the notice of its end have expired.
    while ((await manager.streams.info('KV_confab-presence')).state.messages > 2) await sleep(50)
    const later = await open(t, await nats.connect())
    await later.hears(users('a', 2, ' bob | '))
    t.same(
      [...later.heard].sort(),
      [users('a', 1, ' | alice '), users('a', 2, ' bob | ')].map(one => JSON.stringify(one)).sort(),
    )
  },
)

t.test('a node that may create neither buckets nor consumers', { timeout: 60_000 }, async t => {
  const nats = await startNats(t, { hasUsers: true })
  await applyBuckets(await nats.connect(), { revocationsMs: 86_400_000 })
  const [one, other] = [
    await open(t, await nats.connectAs('edge')),
    await open(t, await nats.connectAs('edge')),
  ]
  const many = Array.from({ length: 300 }, (_, shard) => users('a', shard, ' alice | '))
  await one.store.put([lives('a'), ...many], 60_000)
  for (const record of many) await other.hears(record)
  const later = await open(t, await nats.connectAs('edge'))
  for (const record of many) await later.hears(record)
  await nats.kill9()
  await nats.restart()
  await putAtLast(one.store, users('a', 1, ' | alice '))
  await Promise.all([one, other, later].map(({ hears }) => hears(users('a', 1, ' | alice '))))
  t.same(nats.violations(), [])
})

t.test(
  'a server that loses its memory: writers are notified and re-create the bucket',
  { timeout: 60_000 },
  async t => {
    const nats = await startNats(t)
    const [one, other] = [await open(t, await nats.connect()), await open(t, await nats.connect())]
    await one.store.put([lives('a'), users('a', 1, ' alice | ')], 60_000)
    await other.hears(users('a', 1, ' alice | '))
    await nats.kill9()
    await t.rejects(one.store.put([lives('a')], 60_000))
    await nats.restart()
    await putAtLast(one.store, users('a', 1, ' | alice '))
    await putAtLast(other.store, users('b', 1, ' bob | '))
    await Promise.all([other.hears(users('a', 1, ' | alice ')), one.hears(users('b', 1, ' bob | '))])
    t.ok(one.losses() > 0 && other.losses() > 0)
  },
)
