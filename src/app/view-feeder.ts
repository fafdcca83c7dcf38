import { setTimeout as sleep } from 'node:timers/promises'
import {
  type DeadLetters,
  type EventSource,
  type LeaseStore,
  type PlanStore,
  type ProjectionName,
  ProjectionSupervisor,
  type RunnerLog,
  type StreamLeases,
  type SupervisedStatus,
  startStreamLeases,
  type ViewStores,
  versionOf,
} from '../projections/index.ts'

/** A database of views, to be opened when it can be. */
export interface DatabaseToFeed {
  /** The technology. */
  readonly name: string
  readonly projections: readonly ProjectionName[]
  /** Several workers may share it, a stream each: they hold leases. One that is not shared is this process's alone, and has to be there at the start. */
  readonly isShared: boolean
  open(): Promise<ViewStores>
}

export interface FeederOptions {
  readonly worker: string
  readonly source: EventSource
  readonly streams: readonly string[]
  readonly plans: PlanStore
  readonly leases: LeaseStore
  readonly deadLetters: DeadLetters
  readonly log: RunnerLog
}

/** Feeds the views of one database. */
export interface ViewFeeder {
  readonly database: string
  readonly isShared: boolean
  /** One entry a generation; while the database can't be opened, one a view, with the reason. */
  status(): readonly SupervisedStatus[]
  /** Undefined while the database can't be opened. */
  supervisor(): ProjectionSupervisor | undefined
  stop(): Promise<void>
}

const firstRetryMs = 250
const longestRetryMs = 5_000

/**
 * Opens a database and has its views built. Rejects when one that is not shared can't be opened; a shared one is tried again until it can, so that a process
 * starts, and keeps its other views up, whatever is away.
 */
export const startViewFeeder = async (
  database: DatabaseToFeed,
  options: FeederOptions,
): Promise<ViewFeeder> => {
  const { log } = options
  let running: { stores: ViewStores; supervisor: ProjectionSupervisor; leases?: StreamLeases } | undefined
  let reason: string | undefined
  let isStopping = false

  const start = async (): Promise<void> => {
    const { source, plans, deadLetters, streams, worker } = options
    const stores = await database.open()
    const supervisor = new ProjectionSupervisor({ source, stores, plans, deadLetters, log })
    try {
      await supervisor.start()
      if (!database.isShared) {
        await supervisor.follow(streams)
        running = { stores, supervisor }
        return
      }
      const leases = await startStreamLeases({
        store: options.leases,
        worker,
        group: database.name,
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

  const keepTrying = async (): Promise<void> => {
    for (
      let wait = firstRetryMs;
      !isStopping && running === undefined;
      wait = Math.min(2 * wait, longestRetryMs)
    )
      try {
        await start()
        if (reason !== undefined) log.info({ database: database.name }, 'a database of views is there')
      } catch (error) {
        const now = error instanceof Error ? error.message : String(error)
        if (now !== reason)
          log.error({ database: database.name, reason: now }, 'a database of views cannot be used')
        reason = now
        for (let waited = 0; waited < wait && !isStopping; waited += firstRetryMs) await sleep(firstRetryMs)
      }
  }

  if (!database.isShared) await start()
  const trying = database.isShared ? keepTrying() : Promise.resolve()
  return {
    database: database.name,
    isShared: database.isShared,
    supervisor: () => running?.supervisor,
    status: () => {
      if (running === undefined) return database.projections.map(name => unopened(name, reason))
      const status = running.supervisor.status()
      const trouble = running.leases?.trouble()
      return trouble === undefined ? status : status.map(one => notTaken(one, trouble))
    },
    stop: async () => {
      isStopping = true
      await trying
      await running?.leases?.stop()
      await running?.supervisor.stop()
      await running?.stores.close()
    },
  }
}

/** What is not fed, because its streams cannot be taken on, says nothing of it itself. */
const notTaken = (status: SupervisedStatus, reason: string): SupervisedStatus =>
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
