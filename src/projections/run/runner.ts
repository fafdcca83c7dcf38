import { sleep } from '../../base/sleep.ts'
import type { Checkpoint } from '../ports/stores.ts'
import type { ProjectionName } from '../views/projection.ts'
import { loadCheckpoints, Progress, type ProjectionStatus, worstState } from './progress.ts'
import { openFeeds, type ProjectionTarget } from './projection-target.ts'
import type { RunnerOptions } from './runner-options.ts'
import { StreamProjector } from './stream-projector.ts'

/** Feeds the views of one database from the log, with one StreamProjector per stream. */
export class ProjectionRunner {
  readonly #options: RunnerOptions
  readonly #feeds = new Set<ProjectionTarget>()
  readonly #paused = new Set<ProjectionName>()
  readonly #projectors = new Map<string, StreamProjector>()
  readonly #stop = new AbortController()
  #started = false
  /** Serialises changes to streams and targets. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /**
   * Loads the checkpoints, deletes rows of another version or of another log, and follows the streams. Rejects when
   * the log or the store cannot be reached. Later failures are retried.
   */
  async start(): Promise<void> {
    if (this.#started) throw new Error('a runner can only be started once')
    this.#started = true
    const { stores, source, feeds, streams } = this.#options
    for (const feed of feeds ?? (await openFeeds(stores))) this.#feeds.add(feed)
    await this.follow(streams ?? (await source.streams()).map(({ stream }) => stream))
    void this.#watchHeads()
  }

  /** Returns one entry per generation of a projection. */
  status(): ProjectionStatus[] {
    const now = performance.now()
    return [...this.#feeds].map(feed => {
      const streams = [...this.#projectors.values()].flatMap(projector => projector.status(feed, now) ?? [])
      return {
        projection: feed.name,
        generation: feed.generation,
        version: feed.version,
        state: worstState(streams.map(({ state }) => state)),
        streams,
      }
    })
  }

  /** Stops feeding a projection after the current batch. Other projections continue. */
  pause(projection: ProjectionName): void {
    this.#paused.add(projection)
    this.#each(projection, (projector, feed) => projector.pause(feed))
  }

  /** Continues a paused projection at its position. */
  resume(projection: ProjectionName): void {
    this.#paused.delete(projection)
    this.#each(projection, (projector, feed) => projector.resume(feed))
  }

  /** Adds a target. Rejects when the log or the store cannot be reached. */
  add(feed: ProjectionTarget): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#feeds.has(feed)) return
      const { loaded, ends } = await loadCheckpoints([feed], () => this.#ends(), this.#options)
      this.#feeds.add(feed)
      for (const [stream, projector] of this.#projectors)
        this.#join(projector, feed, loaded.get(feed) ?? [], ends.get(stream) ?? 0)
    })
  }

  /** Removes a target after its current batch. */
  remove(feed: ProjectionTarget): Promise<void> {
    return this.#inTurn(async () => {
      this.#feeds.delete(feed)
      for (const projector of this.#projectors.values()) projector.remove(feed)
    })
  }

  /** Returns the streams that it follows and was not fenced off from. */
  streams(): string[] {
    return [...this.#projectors].flatMap(([stream, { isOver }]) => (isOver ? [] : [stream]))
  }

  /** Returns a target's position in a stream; undefined when this runner does not follow the stream. */
  positionOf(feed: ProjectionTarget, stream: string): number | undefined {
    const projector = this.#projectors.get(stream)
    return projector?.isOver === false ? projector.progressOf(feed)?.position : undefined
  }

  /** Records that a target has applied an event that was a dead letter. */
  tookLetter(feed: ProjectionTarget, stream: string): void {
    const progress = this.#projectors.get(stream)?.progressOf(feed)
    if (progress !== undefined && progress.deadLetters > 0) progress.deadLetters--
  }

  /**
   * Follows exactly these streams: claims new ones, which fences off their previous workers, and stops the others.
   * Rejects when the log or the store cannot be reached.
   */
  follow(streams: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const dropped = [...this.#projectors.values()].filter(
        projector => projector.isOver || !streams.includes(projector.stream),
      )
      await Promise.all(dropped.map(projector => projector.stop()))
      for (const { stream } of dropped) this.#projectors.delete(stream)
      const added = streams.filter(stream => !this.#projectors.has(stream))
      if (added.length === 0) return
      const { stores } = this.#options
      const epochs = new Map<string, number>()
      for (const stream of added) epochs.set(stream, await stores.checkpoints.claim(stream))
      // After the claims no other worker can move these checkpoints.
      const { loaded, ends } = await loadCheckpoints([...this.#feeds], () => this.#ends(), this.#options)
      for (const stream of added) {
        const projector = new StreamProjector(stream, this.#options)
        for (const [feed, checkpoints] of loaded)
          this.#join(projector, feed, checkpoints, ends.get(stream) ?? 0)
        this.#projectors.set(stream, projector)
        projector.start(epochs.get(stream) ?? 0)
      }
    })
  }

  /** Resolves when the current batches are stored or abandoned. Abandoned events are applied at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#turn
    await Promise.all([...this.#projectors.values()].map(projector => projector.stop()))
  }

  #join(
    projector: StreamProjector,
    feed: ProjectionTarget,
    checkpoints: readonly Checkpoint[],
    head: number,
  ): void {
    const at = checkpoints.find(({ stream }) => stream === projector.stream)
    const progress = new Progress(at?.streamSeq ?? 0, head, at?.deadLetters ?? 0, performance.now())
    projector.add(feed, progress, this.#paused.has(feed.name))
  }

  #each(projection: ProjectionName, act: (projector: StreamProjector, feed: ProjectionTarget) => void): void {
    for (const feed of this.#feeds)
      if (feed.name === projection) for (const projector of this.#projectors.values()) act(projector, feed)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  async #ends(): Promise<Map<string, number>> {
    return new Map((await this.#options.source.streams()).map(({ stream, last }) => [stream, last]))
  }

  async #watchHeads(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await sleep(this.#options.headEveryMs ?? 1_000, this.#stop.signal)
      // The followers report a log that cannot be reached.
      const bounds = await this.#options.source.streams().catch(() => [])
      const now = performance.now()
      for (const one of bounds) this.#projectors.get(one.stream)?.sawHead(one, now)
      for (const projector of this.#projectors.values()) projector.sampleRates(now)
    }
  }
}

/** Creates and starts a runner. Rejects as `start` does. */
export const startProjections = async (options: RunnerOptions): Promise<ProjectionRunner> => {
  const runner = new ProjectionRunner(options)
  await runner.start()
  return runner
}
