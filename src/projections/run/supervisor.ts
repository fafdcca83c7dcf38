import { retry } from '../../base/backoff.ts'
import { sleep } from '../../base/sleep.ts'
import {
  buildingOf,
  firstPlan,
  type PlanStore,
  type ProjectionPlan,
  rebuild,
  roleOf,
  switchTo,
} from '../generations/plan.ts'
import type { Generations, ProjectionName } from '../views/projection.ts'
import type { ProjectionStatus } from './progress.ts'
import { openFeed, type ProjectionTarget, versionOf } from './projection-target.ts'
import { type RetryOutcome, type RetryRequest, retryEvent } from './retry-event.ts'
import { ProjectionRunner } from './runner.ts'
import type { RunnerOptions } from './runner-options.ts'

export interface SupervisorOptions extends Omit<RunnerOptions, 'feeds' | 'streams'> {
  readonly plans: PlanStore
  /** Interval of checking whether a generation to switch to is complete, ms. Default 250. */
  readonly switchEveryMs?: number
}

/** A generation's status with its role in the plan. */
export interface SupervisedStatus extends ProjectionStatus {
  readonly role: 'live' | 'building' | 'kept'
}

/** A generation that lags by at most this many events of a stream counts as complete. */
export const levelEvents = 500
const planBackoff = { firstMs: 100, maxMs: 5_000, jitter: 0 }

/**
 * Builds the views of one database according to their plans: every kept generation of this build's version is fed.
 * Rows of another version stay for their readers; a generation of this version is built beside them and switched to
 * when complete. Several workers may supervise one database.
 */
export class ProjectionSupervisor {
  readonly #options: SupervisorOptions
  readonly #runner: ProjectionRunner
  readonly #feeds = new Map<string, ProjectionTarget>()
  readonly #plans = new Map<ProjectionName, ProjectionPlan>()
  readonly #stop = new AbortController()
  #unwatch = (): void => {}
  #turn: Promise<void> = Promise.resolve()
  #looking: Promise<void> | undefined

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#runner = new ProjectionRunner({ ...options, feeds: [], streams: [] })
  }

  /** Starts without streams; `follow` assigns them. Rejects when log, store or plans cannot be reached. */
  async start(): Promise<void> {
    const { stores, plans } = this.#options
    await this.#runner.start()
    const checkpoints = await stores.checkpoints.load()
    for (const projection of stores.projections) {
      const version = versionOf(projection)
      const found = checkpoints.find(one => one.projection === projection && one.generation === 1)
      const plan = await plans.update(projection, plan => {
        if (plan === undefined) return withVersion(firstPlan(found?.version ?? version), version)
        const next = withVersion(plan, version)
        return next === plan ? undefined : next
      })
      await this.#carryOut(projection, plan ?? (await plans.read(projection)) ?? firstPlan(version))
    }
    this.#unwatch = await plans.watch((projection, plan) => {
      if (stores.projections.includes(projection)) this.#enqueue(projection, plan)
    })
    this.#looking = this.#switchWhenComplete()
  }

  /** Follows exactly these streams. */
  follow(streams: readonly string[]): Promise<void> {
    return this.#runner.follow(streams)
  }

  /** Returns the streams that it follows and was not fenced off from. */
  streams(): string[] {
    return this.#runner.streams()
  }

  status(): SupervisedStatus[] {
    return this.#runner.status().flatMap(status => {
      const plan = this.#plans.get(status.projection)
      return plan === undefined ? [] : [{ ...status, role: roleOf(plan, status.generation) }]
    })
  }

  /** Returns the targets of all kept generations of a projection that this build can feed. */
  feedsOf(projection: ProjectionName): ProjectionTarget[] {
    return [...this.#feeds.values()].filter(({ name }) => name === projection)
  }

  /**
   * Applies a dead letter again, in all generations that are past it. Resolves with undefined when another worker
   * owns the stream. Rejects when the log or the store cannot be reached.
   */
  async retry({ projection, stream, streamSeq }: RetryRequest): Promise<RetryOutcome | undefined> {
    const { source, stores } = this.#options
    if (!stores.projections.includes(projection) || !this.#runner.streams().includes(stream)) return undefined
    if (this.#plans.get(projection)?.paused) return { ok: false, reason: `${projection} is paused` }
    // Generations that have not reached the event apply it in their normal course.
    const feeds = this.feedsOf(projection).filter(
      feed => (this.#runner.positionOf(feed, stream) ?? 0) >= streamSeq,
    )
    const until = Math.max(...feeds.map(feed => this.#runner.positionOf(feed, stream) ?? 0))
    const outcome = await retryEvent(feeds, source, stores, { stream, streamSeq }, until)
    if (outcome === undefined) return { ok: false, reason: 'the log no longer has the event' }
    if (outcome.ok) for (const feed of feeds) this.#runner.tookLetter(feed, stream)
    return outcome
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#unwatch()
    await this.#turn
    await this.#looking
    await this.#runner.stop()
  }

  /** Applies plans one after another. */
  #enqueue(projection: ProjectionName, plan: ProjectionPlan): void {
    const { signal } = this.#stop
    const onFailure = (error: unknown): void =>
      this.#options.log.warn({ projection, reason: String(error) }, 'applying a plan failed, will retry')
    this.#turn = this.#turn.then(async () => {
      if (signal.aborted) return
      const applied = retry(() => this.#carryOut(projection, plan), { ...planBackoff, signal, onFailure })
      // It rejects only after a stop.
      await applied.catch(() => {})
    })
  }

  async #carryOut(projection: ProjectionName, plan: ProjectionPlan): Promise<void> {
    const { stores, log } = this.#options
    const before = this.#plans.get(projection)
    this.#plans.set(projection, plan)
    if (plan.paused) this.#runner.pause(projection)
    const version = versionOf(projection)
    for (const { generation, version: its } of plan.generations) {
      const key = `${projection} ${generation}`
      if (its !== version || this.#feeds.has(key)) continue
      const feed = await openFeed(stores, projection, generation)
      this.#feeds.set(key, feed)
      await this.#runner.add(feed)
      log.info({ projection, generation, version, role: roleOf(plan, generation) }, 'feeding a view')
    }
    const kept = new Set(plan.generations.map(({ generation }) => generation))
    for (const feed of this.feedsOf(projection))
      if (!kept.has(feed.generation)) {
        await this.#runner.remove(feed)
        this.#feeds.delete(`${projection} ${feed.generation}`)
      }
    for (const { generation } of before?.generations ?? [])
      if (!kept.has(generation)) {
        await stores.drop(projection, generation)
        log.info({ projection, generation }, 'view generation dropped')
      }
    if (!plan.paused) this.#runner.resume(projection)
  }

  async #switchWhenComplete(): Promise<void> {
    const { plans, switchEveryMs = 250, log } = this.#options
    while (!this.#stop.signal.aborted) {
      await sleep(switchEveryMs, this.#stop.signal)
      for (const [projection, { switchTo: generation }] of this.#plans)
        try {
          if (generation === undefined || !(await this.#isComplete(projection, generation))) continue
          const done = await plans.update(projection, plan =>
            plan?.switchTo === generation ? switchTo(plan, generation) : undefined,
          )
          if (done !== undefined)
            log.info({ projection, generation }, 'queries switched to another generation')
        } catch {
          // Log, store or plans cannot be reached; the next check retries.
        }
    }
  }

  /** Whether a generation has caught up with the log, whichever worker feeds it. */
  async #isComplete(projection: ProjectionName, generation: number): Promise<boolean> {
    const { source, stores } = this.#options
    const streams = await source.streams()
    const checkpoints = await stores.checkpoints.load()
    return streams.every(({ stream, last }) => {
      const at = checkpoints.find(
        one => one.projection === projection && one.generation === generation && one.stream === stream,
      )
      return last - (at?.streamSeq ?? 0) <= levelEvents
    })
  }
}

/** Returns a plan that contains a generation of a version: unchanged, or with one added that is built. */
const withVersion = (plan: ProjectionPlan, version: number): ProjectionPlan => {
  if (plan.generations.some(one => one.version === version)) return plan
  // A generation of a version that no running build has is abandoned.
  const building = buildingOf(plan)?.generation
  const generations = plan.generations.filter(({ generation }) => generation !== building)
  return rebuild({ ...plan, generations }, version, { switchTo: true })
}

/** Returns the generation of each view that queries read, by plan. */
export const liveGenerations = (plans: ReadonlyMap<ProjectionName, ProjectionPlan>): Generations =>
  Object.fromEntries([...plans].map(([projection, { live }]) => [projection, live]))
