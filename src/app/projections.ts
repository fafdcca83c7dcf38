import { Worker } from 'node:worker_threads'
import { ConfabError, type ErrorCode } from '../events/index.ts'
import { createProjectionMetrics } from '../infra/telemetry/index.ts'
import type { RunnerLog, SupervisedStatus } from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import { type ViewDatabases, viewDatabasesOf } from './open-views.ts'

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

export type ProjectionsThreadData = Pick<ProjectionsThreadOptions, 'natsServers' | 'databases' | 'replicas'>

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
  const workerData: ProjectionsThreadData = { natsServers, databases, replicas }
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

/** How long the log may have no leader that answers before a process that builds views is not ready, ms. They go on by themselves when it has one. */
const lostMs = 10_000

/** The role `projections`: builds the views, on a thread of their own. The streams have been applied. */
export const openProjectionsRole = async (context: ProcessContext): Promise<void> => {
  const { config, logger, system, registry, onStop, onFailure, readyWhen, tells } = context
  const projections = await startProjectionsThread({
    natsServers: system.servers,
    databases: viewDatabasesOf(config),
    replicas: config.natsReplicas,
    log: logger,
    onFailure,
  })
  onStop('projections', () => projections.stop())
  // A view that lags or whose database is away is told, and is no reason to send clients elsewhere.
  readyWhen('projections', () => projections.status().every(({ state }) => state !== 'stopped'))
  // By the thread's own connection: it says so also where this process has no feed of the log.
  readyWhen('projections log', () => projections.logLostForMs() <= lostMs)
  tells(() =>
    Object.fromEntries(
      projections
        .status()
        .filter(({ role }) => role === 'live')
        .map(({ projection, state }) => [`view ${projection}`, state]),
    ),
  )
  createProjectionMetrics(registry, projections.status)
}
