import type { RunnerLog } from '../run/runner-options.ts'
import { BeatWatch, type LeaseStore, nextStep, withoutWorker } from './lease-table.ts'

export interface LeaseTimings {
  /** How often a worker says that it is there and looks at the others, ms. Default 500. */
  readonly everyMs?: number
  /** For how long a worker may not be heard of before its streams are taken over, and after how long without a word of its own it lets go of them, ms. Default 3,000. */
  readonly lapseMs?: number
  /** How long a worker that comes, or finds the table lost, waits for others to say that they are there, before it takes streams, ms. Default 600. */
  readonly settleMs?: number
}

export interface StreamLeasesOptions {
  readonly store: LeaseStore
  /** Its name among the workers; no other that runs may have it. */
  readonly worker: string
  /** The database of views that it feeds. */
  readonly group: string
  readonly streams: readonly string[]
  /**
   * Told of the streams to work on, all of them, each time that they change; a runner's `follow`. One call at a time. The lease of a stream that is gone is given
   * up when it resolves; when it rejects, it is called again.
   */
  readonly onChange: (streams: readonly string[]) => Promise<void>
  /** What is really worked on; a runner's `streams`. Where one that it should work on is not among it (a late claim of another has fenced it off), `onChange` is called again. */
  readonly following?: () => readonly string[]
  readonly log: RunnerLog
  readonly timings?: LeaseTimings
}

export interface StreamLeases {
  /** The streams to work on. */
  held(): readonly string[]
  /** Why it does not work on what it should; undefined: it does, or is about to. */
  trouble(): string | undefined
  /** Lets go of all streams, then gives them up at once. Resolves though the store may be away: the leases lapse by themselves then. */
  stop(): Promise<void>
}

const attempts = 10

/**
 * Takes part in sharing out the streams of a group: says that it is there, takes its share, takes over from who is heard of no more, and gives up what is beyond
 * its share when others come. Two may believe to have the same stream for a moment; the fence of the checkpoints keeps the earlier of them from writing.
 * The store may come and go, also at the start: there is nothing to work on until it can be reached.
 */
export const startStreamLeases = async (options: StreamLeasesOptions): Promise<StreamLeases> => {
  const { store, worker, group, streams, log } = options
  const { everyMs = 500, lapseMs = 3_000, settleMs = 600 } = options.timings ?? {}
  const watch = new BeatWatch(lapseMs, everyMs)
  let wanted: readonly string[] = []
  /** What may be worked on: all that was asked for since the last call that went well. */
  let touched: ReadonlySet<string> = new Set()
  let changing: Promise<void> = Promise.resolve()
  let isChanging = false
  /** Whether `onChange` is to be called though the streams are the same. */
  let isAnew = false
  /** Why the last call did not go well. */
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
        const reason = error instanceof Error ? error.message : String(error)
        if (reason !== trouble) log.warn({ group, streams: next, reason }, 'streams can not be taken on yet')
        trouble = reason
        isAnew = true
        break
      }
    }
    isChanging = false
    // What was let go of can be given up.
    if (hasLetGo) wake()
  }

  const workOn = (next: readonly string[]): Promise<void> => {
    if (next.length !== wanted.length || next.some(stream => !wanted.includes(stream)))
      log.info({ group, streams: next }, 'streams to project')
    wanted = next
    if (!isChanging && !isDone()) changing = change()
    return changing
  }

  /** Once replaced, the table is what it says; else somebody was quicker and the next look tells. */
  const beat = async (): Promise<boolean> => {
    const startedAt = performance.now()
    const { table, revision } = await store.read(group)
    const now = performance.now()
    const lapsed = watch.look(table.beats, now)
    lapsed.delete(worker)
    if (!(worker in table.beats)) settledAt = now + settleMs
    const step = nextStep(table, revision, {
      worker,
      streams,
      lapsed,
      current: wanted,
      touched,
      mayTake: now >= settledAt,
    })
    if (!(await store.replace(group, step.table, revision))) return false
    if (lapsed.size > 0) log.warn({ group, workers: [...lapsed] }, 'projection workers are heard of no more')
    clearTimeout(lapse)
    // By then others may take the streams over: counted from before the beat, theirs from when they saw it.
    lapse = setTimeout(lapsedOurselves, startedAt + lapseMs - performance.now())
    if (isStopping) return true
    const following = isChanging ? undefined : options.following?.()
    if (following !== undefined && step.streams.some(stream => !following.includes(stream))) isAnew = true
    void workOn(step.streams)
    return true
  }

  const lapsedOurselves = (): void => {
    log.warn({ group }, 'the leases can not be renewed: letting go of the streams')
    void workOn([])
  }

  const tick = async (): Promise<void> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      if (await beat()) return
      await new Promise(resolve => setTimeout(resolve, Math.random() * 10 * (attempt + 1)))
    }
  }

  let failure: string | undefined
  /** What cannot be reached now may be the next time. */
  const look = async (): Promise<void> => {
    try {
      await tick()
      failure = undefined
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      if (failure !== reason) log.warn({ group, reason }, 'the leases of streams can not be reached')
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
        log.warn({ group, reason: String(error) }, 'the leases lapse by themselves'),
      )
    },
  }
}
