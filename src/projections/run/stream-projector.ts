import { backoffMs } from '../../base/backoff.ts'
import { aborted, sleep } from '../../base/sleep.ts'
import { operatorText, type StoredEvent } from '../../events/index.ts'
import type { StreamBounds } from '../ports/event-source.ts'
import { FencedError } from '../ports/stores.ts'
import {
  type FeedAt,
  FeedRejectedError,
  gatherBatches,
  groupByPosition,
  projectBatch,
  writeChanges,
} from './batches.ts'
import { type Progress, type StreamStatus, viewIsAhead } from './progress.ts'
import type { ProjectionTarget } from './projection-target.ts'
import type { RunnerOptions } from './runner-options.ts'

const defaultBatch = 2_000
const longestRetryMs = 5_000
/** Pause between two looks at the checkpoints of the origin of a stream that was added, ms. */
const originPollMs = 100

/** Targets that read the stream together until the next regrouping. */
interface Session {
  readonly feeds: Set<ProjectionTarget>
  readonly signal: AbortSignal
  failures: number
}

/**
 * Feeds projections from one stream, in order, with rows and checkpoints in one transaction. It never skips an event
 * and never loses its position: a failing store or log is retried until it works, and an event that cannot be applied
 * becomes a dead letter. It ends when it is stopped or when another worker claims the stream.
 */
export class StreamProjector {
  readonly stream: string
  readonly #options: RunnerOptions
  readonly #batch: number
  readonly #progress = new Map<ProjectionTarget, Progress>()
  readonly #paused = new Set<ProjectionTarget>()
  readonly #stop = new AbortController()
  #regroup = new AbortController()
  #sessions: readonly Session[] = []
  #failure: string | undefined
  #epoch = 0
  #run: Promise<void> | undefined

  constructor(stream: string, options: RunnerOptions) {
    this.stream = stream
    this.#options = options
    this.#batch = options.batch ?? options.stores.batch ?? defaultBatch
  }

  /** Continues a projection at `progress`. */
  add(feed: ProjectionTarget, progress: Progress, isPaused: boolean): void {
    this.#progress.set(feed, progress)
    if (isPaused) this.#paused.add(feed)
    else this.#regroup.abort()
  }

  /** Removes a projection after the current batch. */
  remove(feed: ProjectionTarget): void {
    this.pause(feed)
    this.#progress.delete(feed)
    this.#paused.delete(feed)
  }

  /**
   * Stops feeding a projection after the current batch. It misses later events, so it leaves its session for good.
   */
  pause(feed: ProjectionTarget): void {
    this.#paused.add(feed)
    for (const { feeds } of this.#sessions) feeds.delete(feed)
  }

  /** Continues a paused projection at its position. */
  resume(feed: ProjectionTarget): void {
    if (this.#paused.delete(feed)) this.#regroup.abort()
  }

  progressOf(feed: ProjectionTarget): Progress | undefined {
    return this.#progress.get(feed)
  }

  /** Whether it was stopped or fenced off. */
  get isOver(): boolean {
    return this.#stop.signal.aborted
  }

  status(feed: ProjectionTarget, now: number): StreamStatus | undefined {
    const condition = {
      paused: this.#paused.has(feed),
      stopped: this.#run === undefined || this.isOver,
      failure: this.#failure,
    }
    return this.#progress.get(feed)?.status(this.stream, condition, now)
  }

  sawHead({ last, missing }: Pick<StreamBounds, 'last' | 'missing'>, now: number): void {
    for (const [{ name: projection, generation }, progress] of this.#progress) {
      if (!progress.sawHead(last, missing, now)) continue
      const { stream } = this
      this.#options.log.error(
        { projection, generation, stream, position: progress.position, end: last },
        viewIsAhead,
      )
    }
  }

  sampleRates(now: number): void {
    for (const progress of this.#progress.values()) progress.sampleRate(now)
  }

  start(epoch: number): void {
    this.#epoch = epoch
    this.#run ??= this.#project()
  }

  /** Resolves when the current batch is stored or abandoned. Abandoned events are applied at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#run
  }

  async #project(): Promise<void> {
    while (!this.isOver) {
      this.#regroup = new AbortController()
      const signal = AbortSignal.any([this.#stop.signal, this.#regroup.signal])
      const places = this.#placesOf([...this.#progress.keys()].filter(feed => !this.#paused.has(feed)))
      this.#sessions = groupByPosition(places, this.#batch).map(group => ({
        feeds: new Set(group.map(({ feed }) => feed)),
        signal,
        failures: 0,
      }))
      if (this.#sessions.length === 0) await aborted(signal)
      else await Promise.all(this.#sessions.map(session => this.#follow(session)))
    }
  }

  #placesOf(feeds: Iterable<ProjectionTarget>): FeedAt[] {
    return [...feeds].map(feed => ({ feed, position: this.#progress.get(feed)?.position ?? 0 }))
  }

  async #follow(session: Session): Promise<void> {
    const { feeds } = session
    while (!session.signal.aborted && feeds.size > 0) {
      // Ends the consumer of this pass in every case.
      const pass = new AbortController()
      const signal = AbortSignal.any([session.signal, pass.signal])
      const batch = this.#batch
      try {
        await this.#applyOrigin(feeds, signal)
        const after = Math.min(...this.#placesOf(feeds).map(({ position }) => position))
        const batches = this.#options.source.consume(this.stream, after, { signal, batch })
        for await (const events of gatherBatches(batches, batch)) {
          if (signal.aborted || feeds.size === 0) break
          session.failures = 0
          this.#failure = undefined
          if (events.length > 0) await this.#apply(session, events)
          if (this.#hasCaughtUp(session)) this.#regroup.abort()
        }
      } catch (error) {
        if (FencedError.is(error)) this.#fencedOff(error)
        else if (!signal.aborted) await this.#failed(error, session)
      } finally {
        pass.abort()
      }
    }
    // A resumed target joins through a new grouping.
    if (!session.signal.aborted) await aborted(session.signal)
  }

  /**
   * Waits until the targets have applied the part of the stream that its origin has, and continues them after that
   * part. Whichever worker follows the origin, its events of an aggregate are applied before those of this stream.
   */
  async #applyOrigin(feeds: ReadonlySet<ProjectionTarget>, signal: AbortSignal): Promise<void> {
    const { source, stores } = this.#options
    const origin = (await source.streams()).find(({ stream }) => stream === this.stream)?.origin
    if (origin === undefined) return
    const { stream, streamSeq } = origin
    while (!signal.aborted) {
      const behind = this.#placesOf(feeds).filter(({ position }) => position < streamSeq)
      if (behind.length === 0) return
      const checkpoints = await stores.checkpoints.load()
      const isThrough = ({ feed: { name, generation } }: FeedAt): boolean =>
        checkpoints.some(
          one =>
            one.projection === name &&
            one.generation === generation &&
            one.stream === stream &&
            one.streamSeq >= streamSeq,
        )
      const through = behind.filter(isThrough)
      await this.#continueAfter(through, streamSeq)
      if (through.length < behind.length) await sleep(originPollMs, signal)
    }
  }

  async #continueAfter(places: readonly FeedAt[], streamSeq: number): Promise<void> {
    if (places.length === 0) return
    const { stores } = this.#options
    const { stream } = this
    const checkpoints = places.map(({ feed: { name: projection, generation, version } }) => {
      return { projection, generation, version, stream, streamSeq, deadLetters: 0 }
    })
    await stores.atomically(() => stores.checkpoints.save(checkpoints, this.#epoch))
    for (const { feed } of places) this.#progress.get(feed)?.advance(streamSeq, 0, 0, performance.now())
  }

  #fencedOff(error: FencedError): void {
    this.#options.log.warn({ stream: this.stream }, error.message)
    this.#stop.abort()
  }

  /** Whether the targets of this session are now close enough to another session to join it. */
  #hasCaughtUp({ feeds }: Session): boolean {
    if (this.#sessions.length === 1) return false
    const position = Math.max(...this.#placesOf(feeds).map(place => place.position))
    return this.#sessions.some(other => {
      if (other.feeds === feeds || other.feeds.size === 0) return false
      const ahead = Math.min(...this.#placesOf(other.feeds).map(place => place.position)) - position
      return ahead >= 0 && ahead <= this.#batch
    })
  }

  /** Retries until the batch is stored or the projector stops. */
  async #apply(session: Session, events: readonly StoredEvent[]): Promise<void> {
    const rejected = new Map<ProjectionTarget, string>()
    while (!this.isOver) {
      try {
        await this.#store(session, events, rejected)
        this.#failure = undefined
        return
      } catch (error) {
        if (FencedError.is(error)) {
          this.#fencedOff(error)
        } else if (!(error instanceof FeedRejectedError)) {
          await this.#failed(error, session)
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

  /** Dead letters are published first: once the checkpoint has passed an event, no worker would file it. */
  async #store(
    { feeds }: Session,
    events: readonly StoredEvent[],
    rejected: ReadonlyMap<ProjectionTarget, string>,
  ): Promise<void> {
    const { stores, deadLetters, log } = this.#options
    const { stream } = this
    const places = this.#placesOf(feeds)
    const { changes, poison } = projectBatch(events, places, rejected)
    for (const { feed, event, reason } of poison) {
      const letter = { projection: feed.name, stream, streamSeq: event.streamSeq, reason }
      log.error({ ...letter, generation: feed.generation }, 'projection cannot apply event, dead letter')
      await deadLetters?.publish({ ...letter, at: new Date().toISOString() }, event)
    }
    const last = events.at(-1)?.streamSeq ?? 0
    const moved = places.filter(({ position }) => position < last)
    const checkpoints = moved.map(({ feed }) => {
      const { name: projection, generation, version } = feed
      const before = this.#progress.get(feed)?.deadLetters ?? 0
      const deadLetters = before + poison.filter(one => one.feed === feed).length
      return { projection, generation, version, stream, streamSeq: last, deadLetters }
    })
    const startedAt = Date.now()
    await stores.atomically(async () => {
      await writeChanges(changes)
      await stores.checkpoints.save(checkpoints, this.#epoch)
    })
    this.#options.onStored?.(
      moved.map(({ feed }) => feed.name),
      events,
      startedAt,
    )
    const now = performance.now()
    for (const [i, { feed, position }] of moved.entries()) {
      const applied = events.filter(({ streamSeq }) => streamSeq > position).length
      this.#progress.get(feed)?.advance(last, applied, checkpoints[i]?.deadLetters ?? 0, now)
    }
  }

  async #failed(error: unknown, session: Session): Promise<void> {
    const reason = operatorText(error)
    if (this.#failure !== reason)
      this.#options.log.warn({ stream: this.stream, reason }, 'projection failing, will retry')
    this.#failure = reason
    const backoff = { firstMs: this.#options.retryMs ?? 50, maxMs: longestRetryMs, jitter: 0.5 }
    await sleep(backoffMs(++session.failures, backoff), this.#stop.signal)
  }
}
