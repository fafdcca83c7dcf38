import { backoffMs } from '../base/backoff.ts'
import { sleep } from '../base/sleep.ts'
import { operatorText } from '../events/index.ts'
import {
  type DeadLetters,
  type EventSource,
  type LeaseStore,
  type LeaseTimings,
  type PlanStore,
  type ProjectionName,
  type ProjectionSettings,
  ProjectionSupervisor,
  type RunnerLog,
  type RunnerOptions,
  type StreamLeases,
  type SupervisedStatus,
  startStreamLeases,
  type ViewStores,
  versionOf,
  worstState,
} from '../projections/index.ts'

/** A view database that a worker opens. */
export interface ViewDatabase {
  /** The technology: `sqlite`, `cassandra`, `elasticsearch`. */
  readonly name: string
  readonly projections: readonly ProjectionName[]
  /**
   * Whether several workers share it: each holds leases on streams. A database that is not shared belongs to this
   * process and must open at the start.
   */
  readonly isShared: boolean
  open(): Promise<ViewStores>
}

export interface ViewWorkerOptions {
  readonly worker: string
  readonly source: EventSource
  /** The streams of the log, which are added to while partitions move. */
  readonly streams: () => readonly string[]
  /** Calls `listener` after each change of `streams`. Returns a function that removes the listener. */
  readonly watchStreams?: (listener: () => void) => () => void
  readonly plans: PlanStore
  readonly leases: LeaseStore
  readonly deadLetters: DeadLetters
  readonly settings: ProjectionSettings
  readonly log: RunnerLog
  /** Called when projections have stored events. */
  readonly onStored?: RunnerOptions['onStored']
}

/** Builds the views of one database. */
export interface ViewWorker {
  readonly database: string
  readonly isShared: boolean
  /** One entry per generation. While the database cannot be opened: one entry per view, with the reason. */
  status(): readonly SupervisedStatus[]
  /** Undefined while the database cannot be opened. */
  supervisor(): ProjectionSupervisor | undefined
  stop(): Promise<void>
}

/** A worker misses some heartbeats before its lease lapses, and waits for one heartbeat of each other worker. */
const timingsOf = (leaseMs: number): LeaseTimings => ({
  lapseMs: leaseMs,
  everyMs: leaseMs / 6,
  settleMs: leaseMs / 5,
})

const openBackoff = { firstMs: 250, maxMs: 5_000, jitter: 0 }

/**
 * Opens a database and starts its projections. Rejects when a database that is not shared cannot be opened. A shared
 * database is retried with back-off, so that the process starts and builds its other views meanwhile.
 */
export const startViewWorker = async (
  database: ViewDatabase,
  options: ViewWorkerOptions,
): Promise<ViewWorker> => {
  const { log } = options
  let running: { stores: ViewStores; supervisor: ProjectionSupervisor; leases?: StreamLeases } | undefined
  let reason: string | undefined
  let unwatch: (() => void) | undefined
  const stopping = new AbortController()

  /** Follows the streams of the log, also those that were added. A failure is retried. */
  const followAdded = async (supervisor: ProjectionSupervisor): Promise<void> => {
    const { signal } = stopping
    const isWhole = (): boolean => {
      const followed = new Set(supervisor.streams())
      return options.streams().every(stream => followed.has(stream))
    }
    for (let failures = 1; !isWhole() && !signal.aborted; failures++)
      try {
        await supervisor.follow(options.streams())
        log.info({ database: database.name, streams: options.streams() }, 'streams assigned')
        return
      } catch (error) {
        log.warn(
          { database: database.name, reason: operatorText(error) },
          'claiming streams failed, will retry',
        )
        await sleep(backoffMs(failures, openBackoff), signal)
      }
  }

  const start = async (): Promise<void> => {
    const { source, plans, deadLetters, streams, worker, settings, onStored } = options
    const stores = await database.open()
    const supervisor = new ProjectionSupervisor({
      source,
      stores,
      plans,
      deadLetters,
      log,
      onStored,
      ...(settings.batch === undefined ? {} : { batch: settings.batch }),
    })
    try {
      await supervisor.start()
      if (!database.isShared) {
        await supervisor.follow(streams())
        running = { stores, supervisor }
        unwatch = options.watchStreams?.(() => void followAdded(supervisor))
        await followAdded(supervisor)
        return
      }
      const leases = await startStreamLeases({
        store: options.leases,
        worker,
        group: database.name,
        timings: timingsOf(settings.leaseMs),
        streams,
        onChange: held => supervisor.follow(held),
        following: () => supervisor.streams(),
        log,
      })
      running = { stores, supervisor, leases }
    } catch (error) {
      await supervisor.stop()
      await stores.close()
      throw error
    }
  }

  const retryStart = async (): Promise<void> => {
    for (let failures = 1; !stopping.signal.aborted; failures++)
      try {
        await start()
        if (reason !== undefined) log.info({ database: database.name }, 'view database opened')
        return
      } catch (error) {
        const message = operatorText(error)
        if (message !== reason)
          log.error({ database: database.name, reason: message }, 'view database cannot be used')
        reason = message
        await sleep(backoffMs(failures, openBackoff), stopping.signal)
      }
  }

  if (!database.isShared) await start()
  const starting = database.isShared ? retryStart() : Promise.resolve()
  return {
    database: database.name,
    isShared: database.isShared,
    supervisor: () => running?.supervisor,
    status: () => {
      if (running === undefined) return database.projections.map(name => unopened(name, reason))
      const { supervisor, leases } = running
      if (leases === undefined) return supervisor.status()
      const followed = new Set(supervisor.streams())
      const status = supervisor.status().map(one => ofStreams(one, followed))
      const trouble = leases.trouble()
      return trouble === undefined ? status : status.map(one => withTrouble(one, trouble))
    },
    stop: async () => {
      stopping.abort()
      unwatch?.()
      await starting
      await running?.leases?.stop()
      await running?.supervisor.stop()
      await running?.stores.close()
    },
  }
}

/**
 * The status of a view without the streams that another worker has claimed. This worker releases them when its store
 * answers, and until then they are no reason to report it as stopped.
 */
const ofStreams = (status: SupervisedStatus, followed: ReadonlySet<string>): SupervisedStatus => {
  const streams = status.streams.filter(({ stream }) => followed.has(stream))
  return { ...status, streams, state: worstState(streams.map(({ state }) => state)) }
}

/** The status of a view whose streams the worker cannot take over; the projection itself does not report that. */
const withTrouble = (status: SupervisedStatus, reason: string): SupervisedStatus =>
  status.state === 'live' || status.state === 'catching-up' ? { ...status, state: 'failing', reason } : status

const unopened = (projection: ProjectionName, reason: string | undefined): SupervisedStatus => ({
  projection,
  generation: 1,
  version: versionOf(projection),
  role: 'live',
  state: reason === undefined ? 'catching-up' : 'failing',
  ...(reason === undefined ? {} : { reason }),
  streams: [],
})
