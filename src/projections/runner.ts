import type { StoredEvent } from '../events/index.ts'
import { aborted, pause } from './abortable-wait.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { EventSource } from './event-source.ts'
import { type Feed, feedsOf } from './feed.ts'
import { gatherBatches } from './gather-batches.ts'
import { loadProgress, type ProgressByStream } from './load-progress.ts'
import { type ProjectionStatus, worstState } from './progress.ts'
import { type FeedAt, FeedRejectedError, projectBatch, writeChanges } from './project-batch.ts'
import type { ProjectionName } from './projection.ts'
import type { ViewStores } from './stores.ts'

/** What the runner says of itself; pino's logger is one. */
export interface RunnerLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface RunnerOptions {
  readonly source: EventSource
  readonly stores: ViewStores
  /** Without it, an event that can't be taken is logged, counted and skipped. */
  readonly deadLetters?: DeadLetters
  readonly log: RunnerLog
  /** What to feed; default: all five projections. */
  readonly feeds?: readonly Feed[]
  /** Events in one transaction, at most. Default 2,000: hot rows and pages are then written once for many events. */
  readonly batch?: number
  /** First wait after a failure, ms; doubles up to 5,000. Default 50. */
  readonly retryMs?: number
  /** How often the streams' ends are asked for, ms. Default 1,000. */
  readonly headEveryMs?: number
}

const defaultBatch = 2_000
const longestRetryMs = 5_000

/**
 * One uninterrupted reading of a stream. A projection that is paused leaves it for good, since it misses events from then on; when it is resumed, a new session
 * starts at the place of whoever is furthest behind.
 */
interface Session {
  readonly stream: string
  readonly feeds: Set<Feed>
  readonly end: AbortController
}

/**
 * Feeds projections from the log: one follower a stream, in order; rows and checkpoints in one transaction. It never skips an event and never loses its place:
 * a store or log that fails is tried again until it works, an event that can't be taken goes to the dead letters.
 */
export class ProjectionRunner {
  readonly #options: RunnerOptions
  readonly #feeds: readonly Feed[]
  #progress: ProgressByStream = new Map()
  readonly #paused = new Set<Feed>()
  readonly #failures = new Map<string, string>()
  readonly #followers = new Map<string, Promise<void>>()
  readonly #sessions = new Map<string, Session>()
  readonly #stop = new AbortController()
  #started = false

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#feeds = options.feeds ?? feedsOf(options.stores)
  }

  /**
   * Loads the checkpoints, forgets rows of another version or of another log, and follows all streams. Rejects when log or store can't be reached: they should
   * be there at the start; later on they may come and go.
   */
  async start(): Promise<void> {
    if (this.#started) throw new Error('a runner starts once')
    this.#started = true
    this.#progress = await loadProgress(this.#feeds, this.#options)
    for (const stream of this.#progress.keys()) this.#followers.set(stream, this.#follow(stream))
    void this.#watchHeads()
  }

  /** One entry a projection. */
  status(): ProjectionStatus[] {
    const now = performance.now()
    const stopped = !this.#started || this.#stop.signal.aborted
    return this.#feeds.map(feed => {
      const paused = this.#paused.has(feed)
      const streams = [...this.#progress].flatMap(([stream, feeds]) => {
        const failure = this.#failures.get(stream)
        return feeds.get(feed)?.status(stream, { paused, stopped, failure }, now) ?? []
      })
      const state = worstState(streams.map(({ state }) => state))
      return { projection: feed.name, version: feed.version, state, streams }
    })
  }

  /** Stops feeding a projection, after the batch at hand. The others go on. */
  pause(projection: ProjectionName): void {
    for (const feed of this.#feeds) {
      if (feed.name !== projection) continue
      this.#paused.add(feed)
      for (const { feeds } of this.#sessions.values()) feeds.delete(feed)
    }
  }

  /** Goes on where the projection stood. */
  resume(projection: ProjectionName): void {
    for (const feed of this.#feeds) if (feed.name === projection) this.#paused.delete(feed)
    for (const { end } of this.#sessions.values()) end.abort()
  }

  /** Resolves when the batches at hand are stored or given up; what is not stored comes again at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#followers.values())
  }

  async #follow(stream: string): Promise<void> {
    let failures = 0
    while (!this.#stop.signal.aborted) {
      const feeds = new Set(this.#feeds.filter(feed => !this.#paused.has(feed)))
      const session: Session = { stream, feeds, end: new AbortController() }
      this.#sessions.set(stream, session)
      const signal = AbortSignal.any([this.#stop.signal, session.end.signal])
      if (feeds.size === 0) {
        await aborted(signal)
        continue
      }
      const after = Math.min(...this.#places(session).map(({ position }) => position))
      const batch = this.#options.batch ?? defaultBatch
      try {
        const batches = this.#options.source.consume(stream, after, { signal, batch })
        for await (const events of gatherBatches(batches, batch)) {
          if (signal.aborted || feeds.size === 0) break
          failures = 0
          this.#failures.delete(stream)
          if (events.length > 0) await this.#apply(session, events)
        }
      } catch (error) {
        if (!signal.aborted) await this.#failed(stream, error, failures++)
      } finally {
        session.end.abort()
      }
    }
  }

  #places({ stream, feeds }: Session): FeedAt[] {
    const progress = this.#progress.get(stream)
    return [...feeds].map(feed => ({ feed, position: progress?.get(feed)?.position ?? 0 }))
  }

  /** Until it is stored, or the runner stops. */
  async #apply(session: Session, events: readonly StoredEvent[]): Promise<void> {
    const rejected = new Map<Feed, string>()
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#store(session, events, rejected)
        this.#failures.delete(session.stream)
        return
      } catch (error) {
        if (!(error instanceof FeedRejectedError)) {
          await this.#failed(session.stream, error, failures++)
        } else if (events.length > 1) {
          const half = Math.ceil(events.length / 2)
          await this.#apply(session, events.slice(0, half))
          return this.#apply(session, events.slice(half))
        } else {
          rejected.set(error.feed, error.message)
        }
      }
    }
  }

  /** Dead letters first: once the checkpoint has passed an event, nobody would file it any more. */
  async #store(
    session: Session,
    events: readonly StoredEvent[],
    rejected: ReadonlyMap<Feed, string>,
  ): Promise<void> {
    const { stores, deadLetters, log } = this.#options
    const { stream } = session
    const progress = this.#progress.get(stream)
    const places = this.#places(session)
    const { changes, poison } = projectBatch(events, places, rejected)
    for (const { feed, event, reason } of poison) {
      const letter = { projection: feed.name, stream, streamSeq: event.streamSeq, reason }
      log.error(letter, 'an event that a projection can not take')
      await deadLetters?.publish({ ...letter, at: new Date().toISOString() }, event)
    }
    const last = events.at(-1)?.streamSeq ?? 0
    const moved = places.filter(({ position }) => position < last)
    const checkpoints = moved.map(({ feed }) => {
      const dead = poison.filter(one => one.feed === feed).length + (progress?.get(feed)?.deadLetters ?? 0)
      return { projection: feed.name, version: feed.version, stream, streamSeq: last, deadLetters: dead }
    })
    await stores.atomically(async () => {
      await writeChanges(changes)
      await stores.checkpoints.save(checkpoints)
    })
    const now = performance.now()
    for (const [i, { feed, position }] of moved.entries()) {
      const applied = events.filter(({ streamSeq }) => streamSeq > position).length
      progress?.get(feed)?.advance(last, applied, checkpoints[i]?.deadLetters ?? 0, now)
    }
  }

  async #failed(stream: string, error: unknown, failures: number): Promise<void> {
    const reason = error instanceof Error ? error.message : String(error)
    if (this.#failures.get(stream) !== reason)
      this.#options.log.warn({ stream, reason }, 'projections are stuck')
    this.#failures.set(stream, reason)
    const most = Math.min(longestRetryMs, (this.#options.retryMs ?? 50) * 2 ** failures)
    await pause(most * (0.5 + Math.random() / 2), this.#stop.signal)
  }

  async #watchHeads(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(this.#options.headEveryMs ?? 1_000, this.#stop.signal)
      // A log that can't be reached shows in its followers.
      const streams = await this.#options.source.streams().catch(() => [])
      const now = performance.now()
      for (const { stream, last } of streams)
        for (const progress of this.#progress.get(stream)?.values() ?? []) progress.sawHead(last, now)
      for (const feeds of this.#progress.values())
        for (const progress of feeds.values()) progress.sampleRate(now)
    }
  }
}

/** A runner of all five projections, started. Rejects as its `start` does. */
export const startProjections = async (options: RunnerOptions): Promise<ProjectionRunner> => {
  const runner = new ProjectionRunner(options)
  await runner.start()
  return runner
}
