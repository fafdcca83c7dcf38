import { Worker } from 'node:worker_threads'
import { backoffMs } from '../base/backoff.ts'
import { sleep } from '../base/sleep.ts'
import type { ConfabConfig } from '../infra/config/index.ts'
import { type BackupStatus, createBackupMetrics } from '../infra/telemetry/index.ts'
import type { ProcessContext } from './lifecycle.ts'

/** The system and the options of a backup. */
export interface BackupThreadData {
  readonly config: Pick<ConfabConfig, 'backup' | 's3' | 'audit'>
  readonly servers: readonly string[]
}

/** The result of a run. */
export interface BackupFacts {
  /** Start of the newest backup, ms. */
  readonly startedAt: number
  /** Undefined: the newest backup is not due to be followed yet. */
  readonly taken:
    | { readonly backup: string; readonly bytes: number; readonly seconds: number; readonly removed: number }
    | undefined
}

/** A message from the thread of a backup. A message to the thread stops it. */
export type FromBackup =
  | { readonly type: 'notice'; readonly notice: string }
  | { readonly type: 'done'; readonly facts: BackupFacts }
  | { readonly type: 'failed'; readonly code: unknown; readonly reason: string }

/** Wait after a failed backup. */
const failedBackoff = { firstMs: 60_000, maxMs: 3_600_000, jitter: 0 }

/** TypeScript in a checkout, JavaScript in the package. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './backup-thread.ts' : './backup-thread.js',
  import.meta.url,
)

type Outcome = Exclude<FromBackup, { type: 'notice' }>

/**
 * Runs one backup on a thread of its own: checksums and encryption would block the sockets. Resolves when the thread
 * has ended. Never rejects.
 */
const runThread = (
  data: BackupThreadData,
  signal: AbortSignal,
  onNotice: (notice: string) => void,
): Promise<Outcome> =>
  new Promise(resolve => {
    const worker = new Worker(entry, { workerData: data, name: 'backup' })
    const stop = (): void => worker.postMessage('stop')
    signal.addEventListener('abort', stop)
    let outcome: Outcome | undefined
    worker.on('message', (message: FromBackup) => {
      if (message.type === 'notice') return onNotice(message.notice)
      outcome = message
      // A handle that a client left open would keep the thread alive.
      void worker.terminate()
    })
    worker.on('error', error => {
      outcome ??= { type: 'failed', code: undefined, reason: error.message }
    })
    worker.on('exit', code => {
      signal.removeEventListener('abort', stop)
      resolve(
        outcome ?? { type: 'failed', code: undefined, reason: `the thread ended with exit code ${code}` },
      )
    })
  })

/**
 * Whether a process runs the schedule. One process with the role `projections` uses a data folder, so that one process
 * of a system takes the backups.
 */
const isScheduler = ({ backup, natsServers, roles }: ConfabConfig): boolean =>
  backup.everyMs !== undefined && natsServers === undefined && roles.includes('projections')

/** Takes backups at the interval of the configuration, until the process stops. A failure is logged and tried again. */
export const startBackups = ({ config, logger, system, registry, onStop }: ProcessContext): void => {
  if (!isScheduler(config)) return
  const { everyMs = 0, maxAgeMs } = config.backup
  const data: BackupThreadData = {
    config: { backup: config.backup, s3: config.s3, audit: config.audit },
    servers: system.servers,
  }
  const status: BackupStatus = {
    newest: 0,
    seconds: undefined,
    bytes: undefined,
    done: 0,
    failed: 0,
    maxAgeMs,
  }
  createBackupMetrics(registry, () => status)
  const stopping = new AbortController()

  /** Returns the wait until the next run, ms. */
  const runOnce = async (failures: number): Promise<{ waitMs: number; failures: number }> => {
    const outcome = await runThread(data, stopping.signal, notice => logger.warn({}, notice))
    if (outcome.type === 'failed') {
      if (stopping.signal.aborted) return { waitMs: 0, failures }
      status.failed++
      logger.error({ code: outcome.code, reason: outcome.reason }, 'backup failed')
      return {
        waitMs: Math.min(everyMs, backoffMs(failures + 1, failedBackoff)),
        failures: failures + 1,
      }
    }
    const { startedAt, taken } = outcome.facts
    status.newest = startedAt
    if (taken !== undefined) {
      status.done++
      status.seconds = taken.seconds
      status.bytes = taken.bytes
      logger.info({ ...taken, place: config.backup.place }, 'backup taken')
    }
    // The clock may have been set back since the newest backup.
    return { waitMs: Math.min(everyMs, Math.max(0, startedAt + everyMs - Date.now())), failures: 0 }
  }
  const run = async (): Promise<void> => {
    for (let next = { waitMs: 0, failures: 0 }; !stopping.signal.aborted; ) {
      next = await runOnce(next.failures)
      await sleep(next.waitMs, stopping.signal)
    }
  }
  const running = run()
  onStop('backups', async () => {
    stopping.abort()
    await running
  }, ['nats'])
}
