/**
 * The projections' thread: started by projections-thread.ts, with a connection to NATS and one to the views' database of its own.
 */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { ConfabError } from './events/index.ts'
import { connectNats, discoverLog, NatsDeadLetters, NatsEventSource } from './infra/nats/index.ts'
import { openSqliteStores } from './infra/sqlite/index.ts'
import { type RunnerLog, startProjections } from './projections/index.ts'
import type { FromProjections, ProjectionsThreadData, ToProjections } from './projections-thread.ts'

const statusEveryMs = 250

// Views may lag, acks and deliveries may not: when cores are short they come first. On Linux this is the thread's own priority; elsewhere it would be the whole process's.
const niceness = 10
if (process.platform === 'linux') setPriority(niceness)

const { natsServers, viewsFile } = workerData as ProjectionsThreadData
const tell = (message: FromProjections) => parentPort?.postMessage(message)

const logTo =
  (level: keyof RunnerLog) =>
  (fields: object, message: string): void =>
    tell({ type: 'log', level, fields, message })
const log: RunnerLog = { info: logTo('info'), warn: logTo('warn'), error: logTo('error') }

const run = async (): Promise<void> => {
  const stores = openSqliteStores(viewsFile)
  const nats = await connectNats({ servers: natsServers, name: 'confab projections' })
  const source = new NatsEventSource(nats, await discoverLog(nats.connection))
  const runner = await startProjections({ source, stores, deadLetters: new NatsDeadLetters(nats), log })
  const ticker = setInterval(() => tell({ type: 'status', status: runner.status() }), statusEveryMs)

  const stop = async (): Promise<void> => {
    clearInterval(ticker)
    await runner.stop()
    await stores.close()
    source.close()
    await nats.close()
    tell({ type: 'status', status: runner.status() })
    parentPort?.close()
  }
  parentPort?.on('message', (message: ToProjections) => {
    if (message.type === 'stop') void stop().catch(fail)
    else runner[message.type](message.projection)
  })
  tell({ type: 'ready', status: runner.status() })
}

const fail = (error: unknown): void => {
  const message = error instanceof Error ? error.message : String(error)
  tell({ type: 'failed', code: ConfabError.is(error) ? error.code : undefined, message })
  process.exit(1)
}

run().catch(fail)
