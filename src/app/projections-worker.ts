/** The projections thread, started by projections.ts. It has its own connections to NATS and to the view databases. */
import { randomInt } from 'node:crypto'
import { hostname, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { ConfabError, operatorText } from '../events/index.ts'
import {
  answerProjectionStatus,
  answerRetries,
  connectNats,
  errorCodeOf,
  LiveLayout,
  LogWatch,
  NatsDeadLetters,
  NatsEventSource,
  NatsProblem,
  openNatsLeases,
  openNatsPlans,
  refusalText,
} from '../infra/nats/index.ts'
import { openTracing } from '../infra/telemetry/index.ts'
import type { RunnerLog } from '../projections/index.ts'
import { viewDatabases } from './open-views.ts'
import type { FromProjections, ProjectionsThreadData, ToProjections } from './projections.ts'
import { withBatchCounter } from './view-changes.ts'
import { startViewWorker, type ViewWorker } from './view-worker.ts'

const statusEveryMs = 250

// When cores are short, acks and deliveries take precedence over views. Linux sets the priority of this thread alone;
// other systems would set the priority of the whole process.
const niceness = 10
if (process.platform === 'linux') setPriority(niceness)

const {
  natsServers,
  natsInboxPrefix,
  natsTls,
  replicas,
  settings,
  tracing: tracingOptions,
  databases: databaseOptions,
  batches,
} = workerData as ProjectionsThreadData
const post = (message: FromProjections) => parentPort?.postMessage(message)

const logTo =
  (level: keyof RunnerLog) =>
  (fields: object, message: string): void =>
    post({ type: 'log', level, fields, message })
const log: RunnerLog = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }

const run = async (): Promise<void> => {
  const tracing = await openTracing(tracingOptions ?? {}, {
    instance: `${hostname()}/${process.pid}`,
    roles: ['projections'],
    onNotice: notice => log.warn({}, notice),
  })
  const databases = viewDatabases(databaseOptions)
  const nats = await connectNats({
    servers: natsServers,
    inboxPrefix: natsInboxPrefix,
    onRefusal: refusal =>
      log.error({ ...refusal, code: NatsProblem.rights, roles: ['projections'] }, refusalText(refusal)),
    tls: natsTls,
    name: 'confab projections',
    onListenerError: (error, listener) =>
      log.error({ code: errorCodeOf(error), reason: String(error), listener }, 'NATS listener failed'),
  })
  const layout = await LiveLayout.open(nats)
  const source = new NatsEventSource(nats, layout)
  const watch = new LogWatch(nats, layout)
  const options = {
    // Containers may have the same host name and process id.
    worker: `${hostname()}-${process.pid}-${randomInt(36 ** 4).toString(36)}`,
    source,
    streams: () => layout.streams,
    watchStreams: (listener: () => void) => layout.watch(listener),
    plans: await openNatsPlans(nats, { replicas }),
    leases: await openNatsLeases(nats, { replicas }),
    deadLetters: new NatsDeadLetters(nats),
    settings,
    log,
    onStored: tracing?.projected,
  }
  const workers: ViewWorker[] = []
  for (const database of databases) {
    const open = async () => withBatchCounter(await database.open(), batches)
    workers.push(await startViewWorker(database.isShared ? database : { ...database, open }, options))
  }
  const status = () => workers.flatMap(worker => worker.status())
  const stopAnswering = answerProjectionStatus(nats, () =>
    workers.map(worker => ({
      worker: options.worker,
      database: worker.database,
      isShared: worker.isShared,
      projections: worker.status(),
    })),
  )
  const stopRetrying = answerRetries(nats, async letter => {
    for (const worker of workers) {
      const outcome = await worker.supervisor()?.retry(letter)
      if (outcome !== undefined) return outcome
    }
    return undefined
  })
  const report = (type: 'ready' | 'status'): void =>
    post({ type, status: status(), logLostForMs: watch.lostForMs() })
  const ticker = setInterval(() => report('status'), statusEveryMs)

  const stop = async (): Promise<void> => {
    clearInterval(ticker)
    stopAnswering()
    stopRetrying()
    await Promise.all(workers.map(worker => worker.stop()))
    watch.stop()
    layout.close()
    source.close()
    await nats.close()
    await tracing?.stop()
    report('status')
    // Ends this thread only. A timer that a driver left behind would keep the thread alive.
    process.exit()
  }
  parentPort?.on('message', (message: ToProjections) => {
    if (message.type === 'stop') void stop().catch(fail)
  })
  report('ready')
}

const fail = (error: unknown): void => {
  const message = operatorText(error)
  post({ type: 'failed', code: ConfabError.is(error) ? error.code : undefined, message })
  process.exit(1)
}

run().catch(fail)
