import { setTimeout as sleep } from 'node:timers/promises'
import type { Msg, Subscription } from '@nats-io/transport-node'
import type { Interest, LiveEvent, LiveFeed, LiveListener, PassedListener } from '../../../commands/index.ts'
import { Family, livePrefix, type Position, type StreamPosition } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/reply-inbox.ts'
import type { LogLayout } from '../log/log-layout.ts'
import { LogReader } from '../log/log-reader.ts'
import { liveEvent } from '../log/stored-message.ts'
import type { Worth } from './interest-switch.ts'
import { type InterestMode, Narrowing } from './narrow-feed.ts'
import { StreamFollower } from './stream-follower.ts'

export interface NatsLiveFeedOptions {
  /** How often each stream's end is compared with what came, ms. Default 1,000. */
  readonly checkMs?: number
  /** How long a start waits for streams that do not answer, ms. Default 30,000. */
  readonly startMs?: number
  /** What is followed of the streams, where the feed is told what is wanted. Default: everything. */
  readonly interest?: InterestMode
  /** With `auto`: from which saving on it is narrow. */
  readonly worth?: Worth
  readonly onNotice?: (notice: string) => void
}

/** What a feed follows, and what has come of it. */
export interface Followed {
  /** Whether it follows the conversations that are wanted, and digests; else it follows everything. */
  readonly isNarrow: boolean
  /** Conversations that it follows by a subscription each. */
  readonly conversations: number
  /** Events, since the start. */
  readonly brought: number
  readonly passed: number
}

/** One event in so many is looked at for whether it is wanted; a prime, so that conversations that take turns do not mislead. */
const lookedAt = 13
/** Between two tries of a start, ms. */
const startPauseMs = 100

/** The live feed over the streams' republished messages: one wildcard a family, or less (Narrowing); see StreamFollower for what makes it whole. */
export class NatsLiveFeed implements LiveFeed {
  readonly #nats: Nats
  readonly #layout: LogLayout
  readonly #inbox: ReplyInbox
  readonly #followers: ReadonlyMap<string, StreamFollower>
  readonly #listeners: LiveListener[] = []
  readonly #passedListeners: PassedListener[] = []
  readonly #mode: InterestMode
  readonly #worth: Worth | undefined
  readonly #checkMs: number
  readonly #startMs: number
  readonly #tell: (notice: string) => void
  #interest: Interest | undefined
  #narrowing: Narrowing | undefined
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #unlisten = (): void => {}
  #isRunning = false
  #broughtCount = 0
  #passedCount = 0

  constructor(nats: Nats, layout: LogLayout, options: NatsLiveFeedOptions = {}) {
    this.#nats = nats
    this.#layout = layout
    this.#mode = options.interest ?? 'everything'
    this.#worth = options.worth
    this.#checkMs = options.checkMs ?? 1_000
    this.#startMs = options.startMs ?? 30_000
    this.#tell = options.onNotice ?? (() => {})
    this.#inbox = new ReplyInbox(nats, 2_000)
    const followed = {
      reader: new LogReader(nats, this.#inbox),
      deliver: (event: LiveEvent) => this.#deliver(event),
      passed: ((c, seq, position) => this.#passed(c, seq, position)) satisfies PassedListener,
      wants: (c: string) => this.#interest?.wants(c) ?? true,
      untold: () => this.#narrowing?.untold(),
      notice: this.#tell,
    }
    this.#followers = new Map(layout.streams.map(stream => [stream, new StreamFollower(stream, followed)]))
  }

  listen(listener: LiveListener, passed?: PassedListener): void {
    this.#listeners.push(listener)
    if (passed !== undefined) this.#passedListeners.push(passed)
  }

  narrowTo(interest: Interest): void {
    this.#interest = interest
  }

  get followed(): Followed {
    return {
      isNarrow: this.#narrowing?.isNarrow ?? false,
      conversations: this.#narrowing?.conversations ?? 0,
      brought: this.#broughtCount,
      passed: this.#passedCount,
    }
  }

  async start(): Promise<readonly StreamPosition[]> {
    this.#isRunning = true
    this.#subscribe()
    await this.#nats.connection.flush()
    await Promise.all([...this.#followers.values()].map(follower => this.#begin(follower)))
    this.#timer = setInterval(() => this.#check(false), this.#checkMs)
    this.#timer.unref()
    this.#unlisten = this.#nats.onChange(connected => {
      if (connected) this.#check(true)
    })
    if (this.#interest !== undefined && this.#mode !== 'everything')
      this.#narrowing = new Narrowing({
        nats: this.#nats,
        interest: this.#interest,
        followers: this.#followers,
        receive: (msg, family) => this.#receive(msg, family),
        everything: { start: () => this.#subscribe(), stop: () => this.#unsubscribe() },
        mode: this.#mode,
        worth: this.#worth,
        notice: this.#tell,
      })
    return this.positions()
  }

  /** A stream of a cluster that elects its leaders does not answer until then. */
  async #begin(follower: StreamFollower): Promise<void> {
    for (const until = performance.now() + this.#startMs; ; await sleep(startPauseMs))
      try {
        await follower.start()
        return
      } catch (error) {
        if (performance.now() > until || !this.#isRunning) throw error
      }
  }

  position(stream: string): number | undefined {
    return this.#followers.get(stream)?.position
  }

  positions(): readonly StreamPosition[] {
    return [...this.#followers.values()].map(({ stream, position }) => ({
      family: this.#layout.familyOf(stream),
      stream,
      streamSeq: position ?? 0,
    }))
  }

  staleness(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const { completeAt } of this.#followers.values()) oldest = Math.min(oldest, completeAt)
    return performance.now() - oldest
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    clearInterval(this.#timer)
    this.#unlisten()
    for (const follower of this.#followers.values()) follower.stop()
    await this.#narrowing?.stop()
    this.#unsubscribe()
    this.#inbox.close()
  }

  #subscribe(): void {
    this.#subscriptions = Object.values(Family).map(family =>
      this.#nats.subscribe(`${livePrefix}.${family}.*.*`, msg => this.#receive(msg, family)),
    )
  }

  #unsubscribe(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#subscriptions = []
  }

  #receive(msg: Msg, family: Family): void {
    const event = liveEvent(msg, family)
    this.#followers.get(event.stream)?.accept(event)
  }

  #check(afterReconnect: boolean): void {
    if (this.#isRunning) for (const follower of this.#followers.values()) void follower.check(afterReconnect)
  }

  #passed(c: string, seq: number, position: Position): void {
    this.#passedCount++
    if (position.streamSeq % lookedAt === 0) this.#narrowing?.saw(false)
    for (const listener of this.#passedListeners)
      try {
        listener(c, seq, position)
      } catch (error) {
        this.#failed(position, error)
      }
  }

  #deliver(event: LiveEvent): void {
    const { aggregate, streamSeq } = event
    this.#broughtCount++
    if (this.#narrowing !== undefined && streamSeq % lookedAt === 0 && aggregate.family === 'conv')
      this.#narrowing.saw(this.#interest?.wants(aggregate.id) ?? true)
    for (const listener of this.#listeners)
      try {
        listener(event)
      } catch (error) {
        this.#failed(event, error)
      }
  }

  #failed({ stream, streamSeq }: Position, error: unknown): void {
    this.#tell(`a live listener failed at ${stream} ${streamSeq}: ${String(error)}`)
  }
}
