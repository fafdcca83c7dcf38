/**
 * The projections' thread: started by projections-thread.ts, with a connection to NATS and to the views' databases of its own.
 */
import { randomInt } from 'node:crypto'
import { hostname, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { ConfabError } from '../events/index.ts'
import {
  answerProjectionStatus,
  answerRetries,
  connectNats,
  discoverLog,
  errorCodeOf,
  LogWatch,
  NatsDeadLetters,
  NatsEventSource,
  openNatsLeases,
  openNatsPlans,
} from '../infra/nats/index.ts'
import type { RunnerLog } from '../projections/index.ts'
import type { FromProjections, ProjectionsThreadData, ToProjections } from './projections-thread.ts'
import { withBatchCounter } from './view-changes.ts'
import { viewDatabases } from './view-databases.ts'
import { startViewFeeder, type ViewFeeder } from './view-feeder.ts'

const statusEveryMs = 250

// Views may lag, acks and deliveries may not: when cores are short they come first. On Linux this is the thread's own priority; elsewhere it would be the whole process's.
const niceness = 10
if (process.platform === 'linux') setPriority(niceness)

const { natsServers, replicas, databases: where, batches } = workerData as ProjectionsThreadData
const tell = (message: FromProjections) => parentPort?.postMessage(message)

const logTo =
  (level: keyof RunnerLog) =>
  (fields: object, message: string): void =>
    tell({ type: 'log', level, fields, message })
const log: RunnerLog = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }

const run = async (): Promise<void> => {
  const databases = viewDatabases(where)
  const nats = await connectNats({
    servers: natsServers,
    name: 'confab projections',
    onListenerError: (error, listener) =>
      log.error({ code: errorCodeOf(error), reason: String(error), listener }, 'NATS listener failed'),
  })
  const layout = await discoverLog(nats.connection)
  const source = new NatsEventSource(nats, layout)
  const watch = new LogWatch(nats, layout)
  const options = {
    // Containers may share name and process ids.
    worker: `${hostname()}-${process.pid}-${randomInt(36 ** 4).toString(36)}`,
    source,
    streams: (await source.streams()).map(({ stream }) => stream),
    plans: await openNatsPlans(nats, { replicas }),
    leases: await openNatsLeases(nats, { replicas }),
    deadLetters: new NatsDeadLetters(nats),
    log,
  }
  const feeders: ViewFeeder[] = []
  for (const database of databases) {
    const open = async () => withBatchCounter(await database.open(), batches)
    feeders.push(await startViewFeeder(database.isShared ? database : { ...database, open }, options))
  }
  const status = () => feeders.flatMap(feeder => feeder.status())
  const unanswer = answerProjectionStatus(nats, () =>
    feeders.map(feeder => ({
      worker: options.worker,
      database: feeder.database,
      isShared: feeder.isShared,
      projections: feeder.status(),
    })),
  )
  const unretry = answerRetries(nats, async letter => {
    for (const feeder of feeders) {
      const outcome = await feeder.supervisor()?.retry(letter)
      if (outcome !== undefined) return outcome
    }
    return undefined
  })
  const report = (type: 'ready' | 'status'): void =>
    tell({ type, status: status(), logLostForMs: watch.lostForMs() })
  const ticker = setInterval(() => report('status'), statusEveryMs)

  const stop = async (): Promise<void> => {
    clearInterval(ticker)
    unanswer()
    unretry()
    for (const feeder of feeders) await feeder.stop()
    watch.stop()
    source.close()
    await nats.close()
    report('status')
    // Of the thread alone. A timer that a driver has left behind would keep it for ever.
    process.exit()
  }
  parentPort?.on('message', (message: ToProjections) => {
    if (message.type === 'stop') void stop().catch(fail)
  })
  report('ready')
}

const fail = (error: unknown): void => {
  const message = error instanceof Error ? error.message : String(error)
  tell({ type: 'failed', code: ConfabError.is(error) ? error.code : undefined, message })
  process.exit(1)
}

run().catch(fail)
