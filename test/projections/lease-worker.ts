/**
 * A projection worker in a process of its own, for tests that kill and suspend it: it takes part in the leases and
 * projects into one database file. It prints JSON lines. Arguments: NATS, its name, the file, the lease's lapse in
 * ms.
 */
import { connectNats, discoverLog, NatsEventSource, openNatsLeases } from '../../src/infra/nats/index.ts'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import { type RunnerLog, startProjections, startStreamLeases } from '../../src/projections/index.ts'

const [servers = '', worker = '', file = '', lapseMs] = process.argv.slice(2)
const say = (what: string, more: object = {}): void =>
  void process.stdout.write(`${JSON.stringify({ what, ...more })}\n`)
const note = (fields: object, message: string): void => say('log', { message, ...fields })
const log: RunnerLog = { info: note, warn: note, error: note }

const nats = await connectNats({ servers, name: worker })
const source = new NatsEventSource(nats, await discoverLog(nats.connection))
const stores = openSqliteStores(file)
const runner = await startProjections({ source, stores, log, streams: [], batch: 50 })
const streams = (await source.streams()).map(({ stream }) => stream)
const leases = await startStreamLeases({
  store: await openNatsLeases(nats),
  worker,
  group: 'views',
  streams: () => streams,
  onChange: async streams => {
    await runner.follow(streams)
    say('follows', { streams })
  },
  following: () => runner.streams(),
  log,
  ...(lapseMs === undefined ? {} : { timings: { lapseMs: Number(lapseMs) } }),
})
process.once('SIGTERM', async () => {
  await leases.stop()
  await runner.stop()
  await stores.close()
  source.close()
  await nats.close()
  say('stopped')
})
say('started')
