import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { ProjectionStatus, StreamStatus } from '../../projections/index.ts'

/**
 * Returns a registry with the metrics of the process: memory, CPU, garbage collection, and the delay of the event loop
 * as `nodejs_eventloop_lag_*`.
 */
export const createRegistry = (): Registry => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  return registry
}

/** Shows which version of confab and which roles a process has, as labels of a gauge that is 1. */
export const createVersionMetric = (registry: Registry, version: string, roles: readonly string[]): void => {
  new Gauge({
    name: 'confab_info',
    help: '1, with the version and the roles of the process as labels.',
    labelNames: ['version', 'roles'],
    registers: [registry],
  }).set({ version, roles: roles.join(',') }, 1)
}

/**
 * Metrics of a process that decides commands of other processes. Each scrape calls `underWay`. Returns the function
 * that records an answered command.
 */
export const createCommandMetrics = (
  registry: Registry,
  underWay: () => number,
): ((type: string, outcome: string, seconds: number) => void) => {
  const registers = [registry]
  const answered = new Histogram({
    name: 'confab_command_seconds',
    help: 'Seconds from receiving a command of another process to its answer.',
    labelNames: ['type', 'outcome'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  })
  new Gauge({
    name: 'confab_commands_under_way',
    help: 'Commands of other processes under way.',
    registers,
    collect() {
      this.set(underWay())
    },
  })
  return (type, outcome, seconds) => answered.observe({ type, outcome }, seconds)
}

/** Metrics of a process that sends its commands to other processes. */
export const createRemoteMetrics = (
  registry: Registry,
  bus: { readonly open: number; readonly resent: number; readonly isServed: boolean },
): void => {
  const registers = [registry]
  new Gauge({
    name: 'confab_remote_commands_open',
    help: 'Commands sent to other processes and not answered yet.',
    registers,
    collect() {
      this.set(bus.open)
    },
  })
  new Gauge({
    name: 'confab_remote_commands_served',
    help: '1 while a process that decides commands is connected, else 0.',
    registers,
    collect() {
      this.set(bus.isServed ? 1 : 0)
    },
  })
  new Counter({
    name: 'confab_remote_commands_resent_total',
    help: 'Commands sent again, because no process was available or none answered in time.',
    registers,
    collect() {
      this.reset()
      this.inc(bus.resent)
    },
  })
}

/** Metrics of the certificates that the process uses. Each scrape calls `used`. */
export const createCertificateMetrics = (
  registry: Registry,
  used: () => readonly { readonly option: string; readonly expiresAt: number }[],
): void => {
  new Gauge({
    name: 'confab_certificate_days_left',
    help: 'Days until a certificate in use expires, by the option that names its file. Negative: it has expired.',
    labelNames: ['option'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { option, expiresAt } of used()) this.set({ option }, (expiresAt - Date.now()) / 86_400_000)
    },
  })
}

/** Metrics of the storage that the log needs. Each scrape calls `current`. */
export const createStorageMetrics = (
  registry: Registry,
  current: () => { readonly state: string; readonly free: number | undefined },
): void => {
  const registers = [registry]
  new Gauge({
    name: 'confab_storage_free_bytes',
    help: 'Free bytes of the scarcest storage of log and media. No sample without a known limit.',
    registers,
    collect() {
      const { free } = current()
      if (free === undefined) this.remove()
      else this.set(free)
    },
  })
  new Gauge({
    name: 'confab_storage_refused',
    help: '0 while the storage is above its reserve, 1 while uploads are refused, 2 while new conversations are refused too.',
    registers,
    collect() {
      this.set(['free', 'low', 'short'].indexOf(current().state))
    },
  })
}

/** The state of scheduled backups. */
export interface BackupStatus {
  /** Start of the newest finished backup, ms since 1970; 0 without one. */
  newest: number
  /** Duration and size of the last backup of this process. */
  seconds: number | undefined
  bytes: number | undefined
  done: number
  failed: number
  readonly maxAgeMs: number
}

/** Metrics of a process that takes backups. Each scrape calls `status`. */
export const createBackupMetrics = (registry: Registry, status: () => BackupStatus): void => {
  const registers = [registry]
  const gauge = (name: string, help: string, value: (status: BackupStatus) => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        const current = value(status())
        if (current === undefined) this.remove()
        else this.set(current)
      },
    })
  }
  gauge(
    'confab_backup_newest_timestamp_seconds',
    'Start of the newest finished backup as Unix time; 0 without one.',
    ({ newest }) => newest / 1_000,
  )
  gauge(
    'confab_backup_max_age_seconds',
    'Age that the newest backup may have (backup.maxAge).',
    ({ maxAgeMs }) => maxAgeMs / 1_000,
  )
  gauge('confab_backup_seconds', 'Duration of the last backup of this process.', ({ seconds }) => seconds)
  gauge('confab_backup_bytes', 'Size of the files of the last backup of this process.', ({ bytes }) => bytes)
  new Counter({
    name: 'confab_backup_runs_total',
    help: 'Backups of this process, by outcome: done, failed.',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      this.inc({ outcome: 'done' }, status().done)
      this.inc({ outcome: 'failed' }, status().failed)
    },
  })
}

/** Metrics of the audit stream. Each scrape calls `counts`. */
export const createAuditMetrics = (
  registry: Registry,
  counts: () => { readonly stored: number; readonly failed: number; readonly refused: number },
): void => {
  const registers = [registry]
  new Counter({
    name: 'confab_audit_records_total',
    help: 'Audit records of this process, by outcome: `stored`, or `failed` because the stream could not be written.',
    labelNames: ['outcome'],
    registers,
    collect() {
      const { stored, failed } = counts()
      this.reset()
      this.inc({ outcome: 'stored' }, stored)
      this.inc({ outcome: 'failed' }, failed)
    },
  })
  new Counter({
    name: 'confab_admin_refused_total',
    help: 'Admin requests without a valid token, or with a token of another role.',
    registers,
    collect() {
      this.reset()
      this.inc(counts().refused)
    },
  })
}

/** Metrics of the live feed. Each scrape calls `followed`. */
export const createFeedMetrics = (
  registry: Registry,
  followed: () => {
    readonly isNarrow: boolean
    readonly conversations: number
    readonly delivered: number
    readonly skipped: number
  },
): void => {
  const registers = [registry]
  new Gauge({
    name: 'confab_feed_narrow',
    help: '1 while the feed receives the conversations of local clients and digests of the rest, 0 while it receives everything.',
    registers,
    collect() {
      this.set(followed().isNarrow ? 1 : 0)
    },
  })
  new Gauge({
    name: 'confab_feed_conversations',
    help: 'Conversations with a subscription of their own.',
    registers,
    collect() {
      this.set(followed().conversations)
    },
  })
  new Counter({
    name: 'confab_feed_events_total',
    help: 'Events of the log, by outcome: `delivered` by the live feed, or `skipped` because no local client needs them.',
    labelNames: ['outcome'],
    registers,
    collect() {
      const { delivered, skipped } = followed()
      this.reset()
      this.inc({ outcome: 'delivered' }, delivered)
      this.inc({ outcome: 'skipped' }, skipped)
    },
  })
}

interface StreamGauge {
  readonly name: string
  readonly help: string
  readonly of: (stream: StreamStatus) => number
  /** Value for a view that fails as a whole, with an empty stream label. Not given: no sample. */
  readonly whole?: number
}

const gauges: readonly StreamGauge[] = [
  {
    name: 'confab_projection_lag_events',
    help: 'Events of a stream that a projection has not applied yet.',
    of: ({ lagEvents }) => lagEvents,
  },
  {
    name: 'confab_projection_ahead_events',
    help: 'Events that a projection has applied and that the log has lost: the stream ends before the position.',
    of: ({ aheadEvents }) => aheadEvents,
  },
  {
    name: 'confab_projection_lag_seconds',
    help: 'Seconds since a projection had last applied all events of its stream.',
    of: ({ lagMs }) => lagMs / 1000,
  },
  {
    name: 'confab_projection_dead_letters',
    help: 'Events of a stream in dead letters since the last rebuild of the projection.',
    of: ({ deadLetters }) => deadLetters,
  },
  {
    name: 'confab_projection_running',
    help: '1 while a projection is live or catching up, 0 while it is failing, paused or stopped. Empty stream: the whole view.',
    of: ({ state }) => (state === 'live' || state === 'catching-up' ? 1 : 0),
    whole: 0,
  },
]

/** Metrics of projections. Each scrape calls `status`. */
export const createProjectionMetrics = (
  registry: Registry,
  status: () => readonly ProjectionStatus[],
): void => {
  new Gauge({
    name: 'confab_log_missing_events',
    help: 'Messages that a stream of the log has stored and lacks now: removed by a limit, a purge or a delete.',
    labelNames: ['stream'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { streams } of status())
        for (const { stream, missingEvents } of streams) this.set({ stream }, missingEvents)
    },
  })
  for (const { name, help, of, whole } of gauges)
    new Gauge({
      name,
      help,
      labelNames: ['projection', 'generation', 'stream'],
      registers: [registry],
      collect() {
        // Remove the samples of dropped generations.
        this.reset()
        for (const { projection, generation, streams, reason } of status()) {
          for (const stream of streams)
            this.set({ projection, generation, stream: stream.stream }, of(stream))
          if (whole !== undefined && reason !== undefined)
            this.set({ projection, generation, stream: '' }, whole)
        }
      },
    })
}
