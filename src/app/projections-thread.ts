import { Worker } from 'node:worker_threads'
import { ConfabError, type ErrorCode } from '../events/index.ts'
import { projectionNames, type RunnerLog, type SupervisedStatus } from '../projections/index.ts'
import { changesByCounter, createBatchCounter } from './view-changes.ts'
import { isInFile, type ViewDatabases } from './view-databases.ts'

/** What the projections' thread is started with. */
export interface ProjectionsThreadOptions {
  /** `nats://host:port`, one or several, of one system. Its streams have been applied. */
  readonly natsServers: string | readonly string[]
  readonly databases: ViewDatabases
  /** Copies of what it makes in JetStream; not given: one. */
  readonly replicas?: number | undefined
  readonly log: RunnerLog
  /** The thread ended without being told to: no view moves any more. */
  readonly onFailure: (error: Error) => void
}

export interface ProjectionsThreadData
  extends Pick<ProjectionsThreadOptions, 'natsServers' | 'databases' | 'replicas'> {
  /** Counts the stored batches of the database that this process alone feeds. */
  readonly batches: SharedArrayBuffer
}

/** From the main thread to the projections'. */
export interface ToProjections {
  readonly type: 'stop'
}

/** From the projections' thread to the main one. */
export type FromProjections =
  | {
      readonly type: 'ready' | 'status'
      readonly status: readonly SupervisedStatus[]
      readonly logLostForMs: number
    }
  | { readonly type: 'failed'; readonly code: ErrorCode | undefined; readonly message: string }
  | {
      readonly type: 'log'
      readonly level: keyof RunnerLog
      readonly fields: object
      readonly message: string
    }

/** Projections that run on a thread of their own, so that building views does not hold up the sockets. */
export interface ProjectionsThread {
  /** As of half a second ago or less, unless a long transaction is under way. */
  status(): readonly SupervisedStatus[]
  /** For how long the thread has not been able to read the whole log, ms; as of the same time. */
  logLostForMs(): number
  /** Changes of the views in the file, which this thread alone feeds. */
  readonly viewChanges: ReturnType<typeof changesByCounter>
  /** Resolves when the batch at hand is stored and the thread has ended. */
  stop(): Promise<void>
}

/** In the checkout it is TypeScript, in the package JavaScript. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './projections-worker.ts' : './projections-worker.js',
  import.meta.url,
)

/** Starts the thread. Resolves when its projections run; rejects when it can't reach NATS or open a database: ConfabError where it has a code. */
export const startProjectionsThread = (options: ProjectionsThreadOptions): Promise<ProjectionsThread> => {
  const { natsServers, databases, replicas, log, onFailure } = options
  const batches = createBatchCounter()
  const workerData: ProjectionsThreadData = { natsServers, databases, replicas, batches }
  const worker = new Worker(entry, { workerData, name: 'projections' })
  const send = (message: ToProjections) => worker.postMessage(message)
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  let status: readonly SupervisedStatus[] = []
  let logLostForMs = 0
  let phase: 'starting' | 'running' | 'ending' = 'starting'

  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (phase === 'starting') reject(error)
      else if (phase === 'running') onFailure(error)
      phase = 'ending'
      status = status.map(one => ({ ...one, state: 'stopped' }))
    }
    worker.on('error', fail)
    worker.on('exit', code => fail(new Error(`the projections' thread ended with ${code}`)))
    worker.on('message', (message: FromProjections) => {
      switch (message.type) {
        case 'log':
          log[message.level](message.fields, message.message)
          break
        case 'failed': {
          const { code, message: reason } = message
          fail(code === undefined ? new Error(reason) : new ConfabError(code, reason))
          break
        }
        case 'status':
          status = message.status
          logLostForMs = message.logLostForMs
          break
        case 'ready':
          status = message.status
          phase = 'running'
          resolve({
            status: () => status,
            logLostForMs: () => logLostForMs,
            viewChanges: changesByCounter(
              batches,
              projectionNames.filter(name => isInFile(databases, name)),
            ),
            stop: async () => {
              phase = 'ending'
              send({ type: 'stop' })
              await exited
            },
          })
      }
    })
  })
}
