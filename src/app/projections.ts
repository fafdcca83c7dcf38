import { Worker } from 'node:worker_threads'
import type { TlsFiles } from '../base/tls-files.ts'
import { ConfabError, type ErrorCode } from '../events/index.ts'
import { createProjectionMetrics, type TracingOptions } from '../infra/telemetry/index.ts'
import {
  type ProjectionSettings,
  projectionNames,
  type RunnerLog,
  type SupervisedStatus,
} from '../projections/index.ts'
import type { ProcessContext } from './lifecycle.ts'
import { isInFile, type ViewDatabaseOptions, viewDatabasesOf } from './open-views.ts'
import { changesByCounter, createBatchCounter } from './view-changes.ts'

/** Options of the projections thread. */
export interface ProjectionsThreadOptions {
  /** `nats://host:port` of one or several servers of one system. The streams exist. */
  readonly natsServers: string | readonly string[]
  readonly natsInboxPrefix?: string | undefined
  readonly natsTls?: TlsFiles | undefined
  readonly databases: ViewDatabaseOptions
  /** Replicas of the buckets that the thread creates in JetStream. Default: one. */
  readonly replicas?: number | undefined
  readonly settings: ProjectionSettings
  /** Default: no spans. */
  readonly tracing?: TracingOptions | undefined
  readonly log: RunnerLog
  /** Called when the thread ends unexpectedly: no view is updated any more. */
  readonly onFailure: (error: Error) => void
}

export interface ProjectionsThreadData
  extends Pick<
    ProjectionsThreadOptions,
    'natsServers' | 'natsInboxPrefix' | 'natsTls' | 'databases' | 'replicas' | 'settings' | 'tracing'
  > {
  /** Counts the stored batches of the database that this process alone feeds. */
  readonly batches: SharedArrayBuffer
}

/** A message from the main thread to the projections thread. */
export interface ToProjections {
  readonly type: 'stop'
}

/** A message from the projections thread to the main thread. */
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

/** Projections on a thread of their own: building views never blocks the sockets. */
export interface ProjectionsThread {
  /** At most half a second old, or as old as the transaction that the thread is in. */
  status(): readonly SupervisedStatus[]
  /** Time since the thread could last read all streams, ms; as old as `status`. */
  logLostForMs(): number
  /** Changes of the views in the file, which this thread alone feeds. */
  readonly viewChanges: ReturnType<typeof changesByCounter>
  /** Resolves when the current batch is stored and the thread has ended. */
  stop(): Promise<void>
}

/** TypeScript in a checkout, JavaScript in the package. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './projections-worker.ts' : './projections-worker.js',
  import.meta.url,
)

/**
 * Starts the thread. Resolves when its projections run. Rejects when the thread cannot reach NATS or open a database,
 * with ConfabError where the reason has a code.
 */
export const startProjectionsThread = (options: ProjectionsThreadOptions): Promise<ProjectionsThread> => {
  const { natsServers, natsInboxPrefix, natsTls, databases, replicas, settings, tracing, log, onFailure } =
    options
  const batches = createBatchCounter()
  const workerData: ProjectionsThreadData = {
    natsServers,
    natsInboxPrefix,
    natsTls,
    databases,
    replicas,
    settings,
    tracing,
    batches,
  }
  const worker = new Worker(entry, { workerData, name: 'projections' })
  const send = (message: ToProjections) => worker.postMessage(message)
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  let status: readonly SupervisedStatus[] = []
  let logLostForMs = 0
  let phase: 'starting' | 'running' | 'stopping' = 'starting'

  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (phase === 'starting') reject(error)
      else if (phase === 'running') onFailure(error)
      phase = 'stopping'
      status = status.map(one => ({ ...one, state: 'stopped' }))
    }
    worker.on('error', fail)
    worker.on('exit', code => fail(new Error(`projections thread ended with exit code ${code}`)))
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
              phase = 'stopping'
              send({ type: 'stop' })
              await exited
            },
          })
      }
    })
  })
}

/** Time without a stream leader after which the process is not ready, ms. Projections resume with the next leader. */
const maxLogLostMs = 10_000

/** The role `projections`: builds the views on a thread of its own. The streams exist. */
export const openProjectionsRole = async (
  context: ProcessContext,
): Promise<Pick<ProjectionsThread, 'viewChanges'>> => {
  const { config, logger, system, registry, onStop, onFailure, readyWhen, reportStates } = context
  const projections = await startProjectionsThread({
    natsServers: system.servers,
    natsInboxPrefix: config.natsInboxPrefix,
    natsTls: config.natsTls,
    databases: viewDatabasesOf(config),
    replicas: config.natsReplicas,
    settings: config.projections,
    tracing: config.tracing,
    log: logger,
    onFailure,
  })
  onStop('projections', () => projections.stop(), ['nats'])
  // A view that lags or whose database is unavailable does not make the process unready: /readyz only reports it.
  readyWhen('projections', () => projections.status().every(({ state }) => state !== 'stopped'))
  // The thread has its own connection, so this check also works in a process without the live feed.
  readyWhen('projections log', () => projections.logLostForMs() <= maxLogLostMs)
  reportStates(() =>
    Object.fromEntries(
      projections
        .status()
        .filter(({ role }) => role === 'live')
        .map(({ projection, state }) => [`view ${projection}`, state]),
    ),
  )
  createProjectionMetrics(registry, projections.status)
  return projections
}
