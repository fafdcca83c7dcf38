import { Worker } from 'node:worker_threads'
import { ConfabError, type ErrorCode } from './events/index.ts'
import type { ProjectionName, ProjectionStatus, RunnerLog } from './projections/index.ts'

/** What the projections' thread is started with. */
export interface ProjectionsThreadOptions {
  /** `nats://host:port`, one or several, of one system. Its streams have been applied. */
  readonly natsServers: string | readonly string[]
  /** The views' database file. Made when it is not there. */
  readonly viewsFile: string
  readonly log: RunnerLog
  /** The thread ended without being told to: no view moves any more. */
  readonly onFailure: (error: Error) => void
}

export type ProjectionsThreadData = Pick<ProjectionsThreadOptions, 'natsServers' | 'viewsFile'>

/** From the main thread to the projections'. */
export type ToProjections =
  | { readonly type: 'pause' | 'resume'; readonly projection: ProjectionName }
  | { readonly type: 'stop' }

/** From the projections' thread to the main one. */
export type FromProjections =
  | { readonly type: 'ready' | 'status'; readonly status: readonly ProjectionStatus[] }
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
  status(): readonly ProjectionStatus[]
  pause(projection: ProjectionName): void
  resume(projection: ProjectionName): void
  /** Resolves when the batch at hand is stored and the thread has ended. */
  stop(): Promise<void>
}

/** In the checkout it is TypeScript, in the package JavaScript. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './projections-worker.ts' : './projections-worker.js',
  import.meta.url,
)

/** Starts the thread. Resolves when its projections run; rejects when it can't reach NATS or open the database: ConfabError where it has a code. */
export const startProjectionsThread = (options: ProjectionsThreadOptions): Promise<ProjectionsThread> => {
  const { natsServers, viewsFile, log, onFailure } = options
  const workerData: ProjectionsThreadData = { natsServers, viewsFile }
  const worker = new Worker(entry, { workerData, name: 'projections' })
  const send = (message: ToProjections) => worker.postMessage(message)
  const exited = new Promise<void>(resolve => worker.once('exit', () => resolve()))
  let status: readonly ProjectionStatus[] = []
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
          break
        case 'ready':
          status = message.status
          phase = 'running'
          resolve({
            status: () => status,
            pause: projection => send({ type: 'pause', projection }),
            resume: projection => send({ type: 'resume', projection }),
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
