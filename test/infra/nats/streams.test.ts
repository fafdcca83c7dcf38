import t from 'tap'
import { applyStreams, loadStreams, streamsStatus } from '../../../src/infra/nats/streams.ts'
import { startNats } from '../../harness/nats.ts'

t.test('streams are created, then left alone, then updated', async t => {
  const nats = await startNats(t, { streams: false })
  const { connection } = await nats.connect()
  const definitions = loadStreams()
  const names = ['CONV_0', 'DEAD_LETTERS', 'SNAPSHOTS', 'USER_0']
  const first = await applyStreams(connection, definitions)
  t.same(
    first.map(({ stream, outcome }) => `${stream} ${outcome}`).sort(),
    names.map(name => `${name} created`),
  )
  const second = await applyStreams(connection, definitions)
  t.same(
    second.map(({ stream, outcome }) => `${stream} ${outcome}`).sort(),
    names.map(name => `${name} unchanged`),
    `${second.map(a => a.changed)}`,
  )
  const longer = definitions.map(definition => ({ ...definition, duplicate_window: 60e9 }))
  for (const { outcome, changed } of await applyStreams(connection, longer)) {
    t.equal(outcome, 'updated')
    t.same(changed, ['duplicate_window'])
  }
  const status = await streamsStatus(connection, definitions)
  t.same(new Set(status.flatMap(({ drift }) => drift)), new Set(['duplicate_window']))
})
