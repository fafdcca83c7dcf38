import { join } from 'node:path'
import { createCommandBus, createStates, createViewLookup, type LiveFeed } from '../../src/commands/index.ts'
import { startEdge } from '../../src/edge/index.ts'
import {
  discoverLog,
  JetStreamEventLog,
  JetStreamSnapshots,
  type Nats,
  NatsLiveFeed,
  NatsSignals,
} from '../../src/infra/nats/index.ts'
import { openSqliteStores, openSqliteViews } from '../../src/infra/sqlite/index.ts'
import { createEdgeMetrics, createRegistry } from '../../src/infra/telemetry/index.ts'
import { createTokenVerifier } from '../../src/infra/tokens/index.ts'
import { loadUws } from '../../src/infra/uws/index.ts'
import { temporaryFolder } from './folders.ts'

const nowhere = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Opens an edge in this process that follows the live feed and has no clients; its views stay empty. */
export const openListeningEdge = async (
  nats: Nats,
): Promise<{ readonly feed: LiveFeed; stop(): Promise<void> }> => {
  const folder = temporaryFolder()
  const file = join(folder.path, 'views.db')
  await openSqliteStores(file).close()
  const views = openSqliteViews(file)
  const layout = await discoverLog(nats.connection)
  const log = new JetStreamEventLog(nats, layout)
  const feed = new NatsLiveFeed(nats, layout)
  const snapshots = new JetStreamSnapshots(nats)
  const states = createStates({ log, snapshots, feed })
  const bus = createCommandBus({
    log,
    states,
    lookup: createViewLookup(views.timeline, log),
  })
  const edge = await startEdge({
    uws: loadUws(),
    bus,
    states,
    feed,
    views,
    log,
    signals: new NatsSignals(nats),
    tokens: await createTokenVerifier({ secret: 'a secret of at least thirty-two bytes' }),
    metrics: createEdgeMetrics(createRegistry()),
    logger: nowhere,
    web: false,
  })
  await feed.start()
  return {
    feed,
    stop: async () => {
      await edge.stop()
      await feed.stop()
      log.close()
      views.close()
      folder.remove()
    },
  }
}
