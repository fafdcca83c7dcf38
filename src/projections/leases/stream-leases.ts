import { backoffMs } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import { operatorText } from '../../events/index.ts'
import type { RunnerLog } from '../run/runner-options.ts'
import { BeatWatch, type LeaseStore, nextStep, withoutWorker } from './lease-table.ts'

export interface LeaseTimings {
  /** Interval of heartbeats and of reading the table, ms. Default 500. */
  readonly everyMs?: number
  /**
   * Period without a heartbeat after which a worker's streams are taken over, and after which a worker that cannot
   * renew its own heartbeat stops working on its streams, ms. Default 3,000.
   */
  readonly lapseMs?: number
  /**
   * How long a worker waits for the heartbeats of others before it takes streams, after its start or after the table
   * was lost, ms. Default 600.
   */
  readonly settleMs?: number
}

export interface StreamLeasesOptions {
  readonly store: LeaseStore
  /** Name of the worker, unique among running workers. */
  readonly worker: string
  /** The database of views that the worker feeds. */
  readonly group: string
  /** Returns the streams of the log, as they are now. */
  readonly streams: () => readonly string[]
  /**
   * Called with the complete list of streams to work on whenever it changes; a runner's `follow`. Calls do not
   * overlap. The lease of a removed stream is released when the call resolves. A rejected call is repeated.
   */
  readonly onChange: (streams: readonly string[]) => Promise<void>
  /**
   * The streams that are really worked on; a runner's `streams`. When one is missing (a late claim of another worker
   * fenced it off), `onChange` is called again.
   */
  readonly following?: () => readonly string[]
  readonly log: RunnerLog
  readonly timings?: LeaseTimings
}

export interface StreamLeases {
  /** The streams to work on. */
  held(): readonly string[]
  /** Why the worker is not working on its streams; undefined when it is, or is about to. */
  trouble(): string | undefined
  /**
   * Stops work on all streams, then releases their leases. Resolves even when the store cannot be reached: the leases
   * then lapse.
   */
  stop(): Promise<void>
}

const attempts = 10
/** After a conflict with another worker's heartbeat. */
const conflictBackoff = { firstMs: 10, maxMs: 100 }

/**
 * Takes part in the distribution of a group's streams: renews a heartbeat, takes its share, takes over the streams of
 * lapsed workers, and gives up streams when workers join. Two workers may briefly believe that they own the same
 * stream; the fencing of checkpoints stops the earlier one from writing. The store may be unreachable at any time,
 * also at the start: the worker then has no streams.
 */
export const startStreamLeases = async (options: StreamLeasesOptions): Promise<StreamLeases> => {
  const { store, worker, group, streams, log } = options
  const { everyMs = 500, lapseMs = 3_000, settleMs = 600 } = options.timings ?? {}
  const watch = new BeatWatch(lapseMs, everyMs)
  let wanted: readonly string[] = []
  /** Streams that may be worked on: all that were requested since the last successful call. */
  let touched: ReadonlySet<string> = new Set()
  let changing: Promise<void> = Promise.resolve()
  let isChanging = false
  /** Whether to call `onChange` although the streams did not change. */
  let isAnew = false
  /** Why the last call failed. */
  let trouble: string | undefined
  let settledAt = Number.POSITIVE_INFINITY
  let isStopping = false
  let wake = (): void => {}
  let lapse: NodeJS.Timeout | undefined

  const isDone = (): boolean =>
    touched.size === wanted.length && wanted.every(stream => touched.has(stream)) && !isAnew

  const change = async (): Promise<void> => {
    isChanging = true
    let hasLetGo = false
    while (!isDone()) {
      const next = wanted
      isAnew = false
      touched = new Set([...touched, ...next])
      try {
        await options.onChange(next)
        hasLetGo ||= touched.size > next.length
        touched = new Set(next)
        trouble = undefined
      } catch (error) {
        const reason = operatorText(error)
        if (reason !== trouble)
          log.warn({ group, streams: next, reason }, 'claiming streams failed, will retry')
        trouble = reason
        isAnew = true
        break
      }
    }
    isChanging = false
    // Streams that were stopped can be released now.
    if (hasLetGo) wake()
  }

  const workOn = (next: readonly string[]): Promise<void> => {
    if (next.length !== wanted.length || next.some(stream => !wanted.includes(stream)))
      log.info({ group, streams: next }, 'streams assigned')
    wanted = next
    if (!isChanging && !isDone()) changing = change()
    return changing
  }

  /** Writes the next table. On a lost race the next look finds the newer table. */
  const beat = async (): Promise<boolean> => {
    const startedAt = performance.now()
    const { table, revision } = await store.read(group)
    const now = performance.now()
    const lapsed = watch.look(table.beats, now)
    lapsed.delete(worker)
    if (!(worker in table.beats)) settledAt = now + settleMs
    const step = nextStep(table, revision, {
      worker,
      streams: streams(),
      lapsed,
      current: wanted,
      touched,
      mayTake: now >= settledAt,
    })
    if (!(await store.replace(group, step.table, revision))) return false
    if (lapsed.size > 0) log.warn({ group, workers: [...lapsed] }, 'projection workers lapsed')
    clearTimeout(lapse)
    // Counted from before the heartbeat was written; others count from when they saw it, so they take over later than
    // this.
    lapse = setTimeout(lapsedOurselves, startedAt + lapseMs - performance.now())
    if (isStopping) return true
    const following = isChanging ? undefined : options.following?.()
    if (following !== undefined && step.streams.some(stream => !following.includes(stream))) isAnew = true
    void workOn(step.streams)
    return true
  }

  const lapsedOurselves = (): void => {
    log.warn({ group }, 'leases cannot be renewed, streams released')
    void workOn([])
  }

  const tick = async (): Promise<void> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (await beat()) return
      await sleep(backoffMs(attempt + 1, conflictBackoff))
    }
  }

  let failure: string | undefined
  /** Reads the table; a failure is retried at the next interval. */
  const look = async (): Promise<void> => {
    try {
      await tick()
      failure = undefined
    } catch (error) {
      const reason = operatorText(error)
      if (failure !== reason) log.warn({ group, reason }, 'stream leases unavailable')
      failure = reason
    }
  }

  const run = async (): Promise<void> => {
    while (!isStopping) {
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, everyMs * (0.9 + Math.random() / 5))
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (isStopping) return
      await look()
    }
  }

  const leave = async (): Promise<void> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      const { table, revision } = await store.read(group)
      if (await store.replace(group, withoutWorker(table, worker), revision)) return
    }
  }

  await look()
  const running = run()
  return {
    held: () => wanted,
    trouble: () => trouble,
    stop: async () => {
      isStopping = true
      wake()
      await running
      clearTimeout(lapse)
      for (let attempt = 0; attempt < attempts && touched.size > 0; attempt++) await workOn([])
      await leave().catch(error =>
        log.warn({ group, reason: String(error) }, 'releasing leases failed, they will lapse'),
      )
    },
  }
}
