import t from 'tap'
import { sleep } from '../../../src/base/sleep.ts'
import { Family, Header } from '../../../src/events/index.ts'
import { openManager } from '../../../src/infra/nats/log/streams.ts'
import { planRegions } from '../../../src/infra/nats/regions/apply-regions.ts'
import { HomeChange } from '../../../src/infra/nats/regions/change-home.ts'
import type { OpenRegion } from '../../../src/infra/nats/regions/open-region.ts'
import { RegionJournal } from '../../../src/infra/nats/regions/region-journal.ts'
import { rejoinRegion } from '../../../src/infra/nats/regions/rejoin-region.ts'
import { applied, definitions, startRegions, type TestRegions } from '../../harness/nats-regions.ts'
import { NaiveClient, openWriter, untilLease } from '../../harness/region-writer.ts'

const logStreams = ['CONV_0', 'USER_0']

const change = async (
  servers: TestRegions,
  open: readonly OpenRegion[],
  kind: 'failover' | 'switch-over',
  to: string,
  steps: string[] = [],
) => {
  const journal = await RegionJournal.open(open, servers.topology.regions.length, [])
  try {
    await journal.begin({ kind, streams: logStreams, to, homeLast: {} })
    const one = await HomeChange.open({
      topology: servers.topology,
      definitions,
      open,
      journal,
      onStep: step => steps.push(step),
    })
    return await one.run()
  } finally {
    await journal.close()
  }
}

/** Returns the command ids of a stream, in order. */
const idsIn = async ({ nats }: OpenRegion, stream: string): Promise<string[]> => {
  const manager = await openManager(nats.connection)
  const { state } = await manager.streams.info(stream)
  const ids: string[] = []
  for (let seq = 1; seq <= state.last_seq; ) {
    for await (const message of await manager.direct.getBatch(stream, { seq, batch: 500 })) {
      if (message.seq < seq) continue
      seq = message.seq + 1
      const id = message.header.get(Header.commandId)
      if (id !== '') ids.push(id)
    }
  }
  return ids
}

t.test('switch-over under load: nothing is lost, doubled or reordered', async t => {
  const servers = await startRegions(t, { delayMs: 10 })
  const open = await applied(servers)
  const [a, b] = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
  await untilLease(a, 'CONV_0')
  t.equal(b.lease.epochOf('CONV_0'), undefined, 'a mirror is not written')
  t.same([...a.lease.served()].sort(), [
    ['CONV_0', 1],
    ['USER_0', 1],
  ])
  const clients = Array.from(
    { length: 10 },
    (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, [a, b]),
  )
  await sleep(500)
  const steps: string[] = []
  const done = await change(servers, open, 'switch-over', 'b', steps)
  t.comment(JSON.stringify(done))
  await untilLease(b, 'CONV_0')
  await sleep(500)
  await Promise.all(clients.map(client => client.stop()))
  const acked = clients.flatMap(client => client.acked)
  t.ok(acked.some(({ region }) => region === 'a') && acked.some(({ region }) => region === 'b'))
  const [, atB] = open as [OpenRegion, OpenRegion]
  const ids = await idsIn(atB, 'CONV_0')
  t.equal(new Set(ids).size, ids.length, 'no event twice')
  const stored = new Set(ids)
  t.same(
    acked.filter(({ commandId }) => !stored.has(commandId)),
    [],
    'every acked event is in the new home',
  )
  const last = acked.filter(({ region }) => region === 'a').reduce((most, { at }) => Math.max(most, at), 0)
  const first = acked
    .filter(({ region }) => region === 'b')
    .reduce((least, { at }) => Math.min(least, at), Infinity)
  t.ok(last < first, 'no ack of the old home after the first of the new one')
  while ((await idsIn(open[0]!, 'CONV_0')).length < ids.length) await sleep(50)
  t.same(await idsIn(open[0]!, 'CONV_0'), ids, 'the old home is a mirror with the same events')
  t.same(await planRegions(servers.topology, open, definitions), { changes: [], kept: [], conflicts: [] })
})

t.test('failover: acks of the old home end before the new one begins', async t => {
  const servers = await startRegions(t, { delayMs: 10 })
  const open = await applied(servers)
  const [a, b] = await Promise.all([openWriter(t, servers, 'a'), openWriter(t, servers, 'b')])
  await untilLease(a, 'CONV_0')
  const clients = Array.from(
    { length: 10 },
    (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, [a, b]),
  )
  await sleep(500)
  servers.region('a').link.hold(true)
  const cutAt = performance.now()
  const reachable = open.filter(({ region }) => region.name !== 'a')
  const done = await change(servers, reachable, 'failover', 'b')
  await untilLease(b, 'CONV_0')
  t.equal(a.lease.epochOf('CONV_0'), undefined)
  await sleep(500)
  await Promise.all(clients.map(client => client.stop()))
  const acked = clients.flatMap(client => client.acked)
  const last = acked.filter(({ region }) => region === 'a').reduce((most, { at }) => Math.max(most, at), 0)
  const first = acked
    .filter(({ region }) => region === 'b')
    .reduce((least, { at }) => Math.min(least, at), Infinity)
  t.ok(last < first, 'no ack of the old home after the first of the new one')
  t.comment(`from the cut: last ack of a ${last - cutAt}, first of b ${first - cutAt}`)
  const atB = await idsIn(open[1]!, 'CONV_0')
  const lost = (await idsIn(open[0]!, 'CONV_0')).filter(id => !atB.includes(id))
  const cut = done.cut.CONV_0 ?? 0
  const known = new Set([...atB, ...lost])
  t.same(
    acked.filter(({ commandId }) => !known.has(commandId)),
    [],
    'acked: in the new home, or lost with a place in the old one',
  )
  t.ok(
    acked.every(
      ({ region, commandId, streamSeq }) => region === 'b' || streamSeq > cut || atB.includes(commandId),
    ),
  )
  t.equal(new Set(atB).size, atB.length)
  t.comment(`${acked.length} acked, ${lost.length} lost, cut ${cut}`)
})

t.test('with acknowledgements of mirrors, a failover loses no acked event', async t => {
  const servers = await startRegions(t, { delayMs: 10 })
  const open = await applied(servers)
  const waits = new Set(['CONV_0'])
  const [a, b] = [await openWriter(t, servers, 'a', { waits }), await openWriter(t, servers, 'b', { waits })]
  await untilLease(a, 'CONV_0')
  const clients = Array.from(
    { length: 10 },
    (_, n) => new NaiveClient({ family: Family.conversation, id: `c${n}` }, [a, b]),
  )
  const acked = () => clients.flatMap(client => client.acked)
  while (acked().length < 100) await sleep(20)
  servers.region('a').link.hold(true)
  const reachable = open.filter(({ region }) => region.name !== 'a')
  await change(servers, reachable, 'failover', 'b')
  servers.region('a').link.hold(false)
  const { length } = acked()
  // The mirror in a: the new home acknowledges nothing before the old one has rejoined.
  await sleep(200)
  t.equal(acked().length, length)
  const journal = await RegionJournal.open(open, 3, [])
  await journal.begin({ kind: 'rejoin', streams: logStreams, to: 'a', homeLast: {} })
  await rejoinRegion({ topology: servers.topology, definitions, open, journal })
  await journal.close()
  // A process that has read events beyond the cut starts again.
  await openWriter(t, servers, 'a', { waits })
  while (acked().length < length + 100) await sleep(20)
  await Promise.all(clients.map(client => client.stop()))
  const ids = await idsIn(open[1] as OpenRegion, 'CONV_0')
  t.same(
    acked().filter(({ commandId }) => !ids.includes(commandId)),
    [],
    'every acked event is in the new home',
  )
  t.equal(new Set(ids).size, ids.length, 'no event twice')
  t.ok(acked().some(({ region }) => region === 'b'))
})
