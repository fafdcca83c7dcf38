/**
 * The projections' thread: started by projections-thread.ts, with a connection to NATS and to the views' databases of its own.
 */
import { hostname, setPriority } from 'node:os'
import { parentPort, threadId, workerData } from 'node:worker_threads'
import { ConfabError } from './events/index.ts'
import {
  answerProjectionStatus,
  connectNats,
  discoverLog,
  NatsDeadLetters,
  NatsEventSource,
  openNatsPlans,
} from './infra/nats/index.ts'
import { ProjectionSupervisor, type RunnerLog } from './projections/index.ts'
import type { FromProjections, ProjectionsThreadData, ToProjections } from './projections-thread.ts'
import { openViewDatabases } from './view-databases.ts'

const statusEveryMs = 250

// Views may lag, acks and deliveries may not: when cores are short they come first. On Linux this is the thread's own priority; elsewhere it would be the whole process's.
const niceness = 10
if (process.platform === 'linux') setPriority(niceness)

const { natsServers, replicas, databases: where } = workerData as ProjectionsThreadData
const tell = (message: FromProjections) => parentPort?.postMessage(message)

const logTo =
  (level: keyof RunnerLog) =>
  (fields: object, message: string): void =>
    tell({ type: 'log', level, fields, message })
const log: RunnerLog = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }

const run = async (): Promise<void> => {
  const databases = await openViewDatabases(where)
  const nats = await connectNats({ servers: natsServers, name: 'confab projections' })
  const source = new NatsEventSource(nats, await discoverLog(nats.connection))
  const plans = await openNatsPlans(nats, { replicas })
  const deadLetters = new NatsDeadLetters(nats)
  const streams = (await source.streams()).map(({ stream }) => stream)
  const supervisors = databases.map(({ stores }) => ({
    database: stores.name,
    supervisor: new ProjectionSupervisor({ source, stores, plans, deadLetters, log }),
  }))
  for (const { supervisor } of supervisors) {
    await supervisor.start()
    await supervisor.follow(streams)
  }
  const status = () => supervisors.flatMap(({ supervisor }) => supervisor.status())
  const worker = `${hostname()}-${process.pid}-${threadId}`
  const unanswer = answerProjectionStatus(nats, () =>
    supervisors.map(({ database, supervisor }) => ({ worker, database, projections: supervisor.status() })),
  )
  const ticker = setInterval(() => tell({ type: 'status', status: status() }), statusEveryMs)

  const stop = async (): Promise<void> => {
    clearInterval(ticker)
    unanswer()
    for (const { supervisor } of supervisors) await supervisor.stop()
    for (const { stores } of databases) await stores.close()
    source.close()
    await nats.close()
    tell({ type: 'status', status: status() })
    parentPort?.close()
  }
  parentPort?.on('message', (message: ToProjections) => {
    if (message.type === 'stop') void stop().catch(fail)
  })
  tell({ type: 'ready', status: status() })
}

const fail = (error: unknown): void => {
  const message = error instanceof Error ? error.message : String(error)
  tell({ type: 'failed', code: ConfabError.is(error) ? error.code : undefined, message })
  process.exit(1)
}

run().catch(fail)
