import t from 'tap'
import { emptyConversation, evolveConversation } from '../../src/commands/domain/conversation-state.ts'
import { conversationType, serialiseConversation } from '../../src/commands/domain/conversation-type.ts'
import { decodeConversationEvent } from '../../src/events/index.ts'
import { JetStreamSnapshots } from '../../src/infra/nats/index.ts'
import { applyStreams, loadStreams } from '../../src/infra/nats/log/streams.ts'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { startNats } from '../harness/nats.ts'

/** An installation whose streams all have other names than confab's definitions: mirrors that were promoted, say. */
const nats = await startNats(t, { streams: false })
const { connection } = await nats.connect()
const renamed = loadStreams({ conv: 2 }).map(one => ({ ...one, name: `REGION_A_${one.name}` }))
await applyStreams(connection, renamed)
const confab = await startConfab(t, { nats, limits: { heartbeatMs: 500, viewWaitMs: 20_000 } })
const bob = await confab.connect('bob')

const source = async (lastEventId?: string) => {
  const token = await confab.token('alice')
  const client = new EventSourceClient(confab.url, token, lastEventId === undefined ? {} : { lastEventId })
  t.teardown(() => client.stop())
  await client.until(() => client.of('hello').length > 0 || client.refused !== undefined)
  return client
}

t.test('an event stream reconnects with the id of its last event', async t => {
  for (const c of ['tea', 'milk', 'jam', 'rum'])
    await bob.ok('create', { c, kind: 'group', members: ['alice'] })
  const first = await source()
  await bob.ok('send', { c: 'tea', m: 'm1', text: 'live' })
  await first.until(() => first.events('tea').length > 0)
  const id = first.lastEventId
  t.notMatch(id, /REGION|CONV/, 'an id does not name streams')
  await first.stop()
  for (const c of ['tea', 'milk', 'jam', 'rum']) await bob.ok('send', { c, m: 'm2', text: 'missed' })
  const second = await source(id)
  t.equal(second.refused, undefined)
  await second.until(() => second.of('synced').length === 4)
  t.same(second.of('refetch'), [])
  t.same(
    ['tea', 'milk', 'jam', 'rum'].map(c => second.events(c).map(({ seq }) => seq)),
    [[3], [2], [2], [2]],
    'exactly the missed events',
  )
})

t.test('a query waits for the writes that its client has seen', async t => {
  confab.pause('search')
  await bob.ok('send', { c: 'tea', m: 'm3', text: 'walrus' })
  const search = bob.ok('search', { q: 'walrus' })
  t.equal(await Promise.race([search, bob.ok('ping').then(() => 'waits')]), 'waits')
  confab.resume('search')
  t.match((await search).hits, [{ c: 'tea', m: 'm3' }])
})

t.test('an id of another set of streams has everything fetched again, at once', async t => {
  const asked = performance.now()
  const client = await source('2.1.1.1')
  await client.until(() => client.of('refetch').length === 4)
  t.ok(performance.now() - asked < 2_000, 'no node is waited for')
  t.same(new Set(client.of('refetch').map(({ reason }) => reason)), new Set(['unknown']))
})

t.test('a stored snapshot names no stream that is gone', async t => {
  const snapshots = new JetStreamSnapshots(await nats.connect())
  const aggregate = { family: 'conv', id: 'snapped' } as const
  await bob.ok('create', { c: 'snapped', kind: 'group', members: ['alice'] })
  const last = await confab.log.last(aggregate)
  const state = emptyConversation('snapped')
  evolveConversation(state, decodeConversationEvent(last!), {
    stream: 'CONV_BEFORE',
    streamSeq: last!.streamSeq,
    commandId: last!.envelope.commandId,
  })
  const { snapshotVersion: version } = conversationType
  await snapshots.save(aggregate, { version, streamSeq: state.streamSeq, data: serialiseConversation(state) })
  const other = await startConfab(t, { nats })
  const alice = await other.connect('alice', { resume: { snapped: 0 } })
  t.match(await alice.find(frame => frame.t === 'synced' || frame.t === 'refetch'), { t: 'synced', seq: 1 })
})
