import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Family, partitionOf } from '../../src/events/index.ts'
import { readViews, sameViews } from '../harness/compare-views.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { ackedAreStored, clientsSawTheLog, seqsAreGapless } from '../harness/invariants.ts'
import { startLoad } from '../harness/load.ts'
import { movePartitions, movesOf } from '../harness/move-partitions.ts'
import { startNats } from '../harness/nats.ts'
import { Outsider } from '../harness/outsider.ts'
import { replayLog } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { untilLevel } from '../harness/until-level.ts'

const users = ['alice', 'bob', 'carol', 'dave']
const conversations = Array.from({ length: 12 }, (_, i) => `room-${i}`)

/** The order of hits of one millisecond in two streams depends on the batches. */
const sorted = (answers: Record<string, unknown>): Record<string, unknown> => {
  const nameOf = ({ c, m }: { c: string; m: string }): string => `${c} ${m}`
  for (const [query, hits] of Object.entries(answers))
    if (query.startsWith('search '))
      answers[query] = (hits as { c: string; m: string }[]).toSorted((one, other) =>
        nameOf(one) < nameOf(other) ? -1 : 1,
      )
  return answers
}

t.test('partitions move to streams that are added, under load', { timeout: 240_000 }, async t => {
  const nats = await startNats(t)
  const folder = tempFolder(t)
  const processes: ConfabProcess[] = []
  t.teardown(() => Promise.all(processes.map(one => one.stop())))
  const start = async (name: string, roles: string): Promise<ConfabProcess> => {
    const one = await spawnConfab({
      data: join(folder, name),
      nats: nats.url,
      secret: 'a secret of at least thirty-two bytes',
      args: ['--roles', roles],
    })
    processes.push(one)
    await untilReady(one)
    return one
  }
  const first = await start('first', 'edge,commands,projections')
  const second = await start('second', 'edge,commands,projections')
  const operator = await nats.connect()

  const load = await startLoad(first, { users, conversations, pauseMs: 3 })
  const readers: Outsider[] = []
  for (const user of users.slice(0, 2)) {
    const reader = new Outsider(user, [second.url], await second.token(user))
    for (const c of conversations) reader.expect(c)
    readers.push(reader)
  }
  const clients = [...load.clients, ...readers]
  t.teardown(() => Promise.all(clients.map(client => client.stop())))
  const more = async (count: number): Promise<void> => {
    for (const wanted = load.acked.length + count; load.acked.length < wanted; ) await sleep(20)
  }
  await more(200)
  const stream = new EventSourceClient(first.url, await first.token('carol'))
  await stream.until(() => stream.events('room-0').length > 0)
  await stream.stop()
  const missedFrom = Number(stream.events('room-0').at(-1)?.seq)

  const refetchesOf = () => clients.map(({ refetches }) => refetches)
  const refetchesBefore = refetchesOf()

  for (const count of [2, 4]) {
    for (const move of await movesOf(operator, count)) {
      const refusedMs = await movePartitions(operator, move)
      t.comment(
        `${move.partitions.length} partitions of ${move.from} refused writes for ${Math.round(refusedMs ?? 0)} ms`,
      )
      await more(100)
    }
    for (const client of clients) client.cut()
    await more(200)
  }
  for (const move of await movesOf(operator, 2, Family.user)) {
    await movePartitions(operator, move, undefined, Family.user)
    await more(100)
  }
  await load.end()

  const log = await replayLog(['--nats', nats.url])
  ackedAreStored(t, log, load.acked)
  seqsAreGapless(t, log)
  const isBehind = (client: Outsider): boolean =>
    conversations.some(c => client.head(c) < (log.get(c)?.at(-1)?.seq ?? 0))
  for (let polls = 250; polls > 0 && clients.some(isBehind); polls--) await sleep(20)
  t.notOk(clients.some(isBehind), 'every client received the last event of each conversation')
  clientsSawTheLog(t, log, clients)
  t.same(
    clients.flatMap(({ breaches }) => breaches),
    [],
    'no event arrived twice or changed',
  )
  t.same(refetchesOf(), refetchesBefore, 'no client had to fetch a conversation again')

  await t.test('an event stream continues from an id of before the moves', async t => {
    const resumed = new EventSourceClient(second.url, await second.token('carol'), {
      lastEventId: stream.lastEventId,
    })
    t.teardown(() => resumed.stop())
    const last = log.get('room-0')?.at(-1)?.seq
    await resumed.until(() => resumed.events('room-0').at(-1)?.seq === last)
    for (const c of conversations) {
      const seqs = resumed.events(c).map(({ seq }) => Number(seq))
      t.same(
        seqs,
        seqs.map((_, i) => (seqs[0] ?? 0) + i),
        `${c} without a gap`,
      )
      t.equal(seqs.at(-1), log.get(c)?.at(-1)?.seq, `${c} to its end`)
    }
    t.equal(resumed.events('room-0')[0]?.seq, missedFrom + 1)
    t.same(resumed.of('refetch'), [])
  })

  await t.test('the views equal those that a new process builds', async t => {
    const third = await start('third', 'edge,commands,projections')
    await untilLevel(first, second, third)
    const words = ['word1', 'word5']
    const read = async (confab: ConfabProcess) => sorted(await readViews(confab, users, words))
    const expected = () => read(third)
    await sameViews(t, { actual: () => read(first), expected }, 'first')
    await sameViews(t, { actual: () => read(second), expected }, 'second')
  })

  t.ok(
    new Set(conversations.map(c => partitionOf(c))).size > 4,
    'the conversations are in several partitions',
  )
  t.same(await movesOf(operator, 4, Family.conversation), [], 'there are as many streams as wanted')
})
