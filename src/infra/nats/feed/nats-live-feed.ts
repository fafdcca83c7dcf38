import { setTimeout as sleep } from 'node:timers/promises'
import type { Msg, Subscription } from '@nats-io/transport-node'
import {
  type Epochs,
  type Interest,
  type LiveEvent,
  type LiveFeed,
  type LiveListener,
  type SkippedListener,
  watchCuts,
} from '../../../commands/index.ts'
import {
  type AggregateRef,
  Family,
  livePatternOf,
  type Position,
  type StreamPosition,
} from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/connection.ts'
import { hasStored, type LogLayout } from '../log/log-layout.ts'
import { LogReader } from '../log/log-reader.ts'
import { liveEvent } from '../log/stored-message.ts'
import { conversationOfMarker } from './digest.ts'
import type { Worth } from './interest-switch.ts'
import { type InterestMode, type Narrowable, NarrowMode } from './narrow-mode.ts'
import { type FollowerOptions, StreamFollower } from './stream-follower.ts'

export interface NatsLiveFeedOptions {
  /** Interval at which the last sequence of each stream is compared with the feed's position, ms. Default 1,000. */
  readonly checkMs?: number
  /** Time for which `start` waits for streams that do not answer, ms. Default 30,000. */
  readonly startMs?: number
  /** Which events a feed with an interest follows. Default `everything`. */
  readonly interest?: InterestMode
  /** Savings from which on the mode `auto` narrows. */
  readonly worth?: Worth
  /** Signals that are narrowed and widened with the feed. */
  readonly signals?: Narrowable
  readonly onNotice?: (notice: string) => void
}

/** The state of a feed. */
export interface Followed {
  /** Whether the feed follows the conversations it needs, and digests; otherwise it follows all events. */
  readonly isNarrow: boolean
  /** Subscriptions to single conversations. */
  readonly conversations: number
  /** Events delivered since the start. */
  readonly delivered: number
  /** Events skipped since the start. */
  readonly skipped: number
}

/** One event of this many is sampled. A prime number, so that conversations that alternate do not bias the sample. */
const sampleEvery = 13
/** Pause between two attempts to start, ms. */
const startRetryMs = 100
/** Pause between two looks at the position in the origin of a stream that was added, ms. */
const originPollMs = 10

/** A layout that may change. */
export interface WatchableLayout extends LogLayout {
  /** Calls `listener` after each change. Returns a function that removes the listener. */
  watch?(listener: () => void): () => void
}

/**
 * The live feed over the messages that the streams republish. It subscribes to all of them by a wildcard for each
 * family, or to fewer (NarrowMode). A StreamFollower for each stream makes it complete.
 */
export class NatsLiveFeed implements LiveFeed {
  readonly #nats: Nats
  readonly #layout: WatchableLayout
  readonly #inbox: ReplyInbox
  readonly #followerOptions: FollowerOptions
  readonly #followers: Map<string, StreamFollower>
  readonly #listeners: LiveListener[] = []
  readonly #skippedListeners: SkippedListener[] = []
  readonly #mode: InterestMode
  readonly #worth: Worth | undefined
  readonly #signals: Narrowable | undefined
  readonly #checkMs: number
  readonly #startMs: number
  readonly #notice: (notice: string) => void
  #interest: Interest | undefined
  #narrowMode: NarrowMode | undefined
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #unlisten = (): void => {}
  #unwatch: (() => void) | undefined
  #isRunning = false
  #delivered = 0
  #skipped = 0

  constructor(nats: Nats, layout: WatchableLayout, options: NatsLiveFeedOptions = {}) {
    this.#nats = nats
    this.#layout = layout
    this.#mode = options.interest ?? 'everything'
    this.#worth = options.worth
    this.#signals = options.signals
    this.#checkMs = options.checkMs ?? 1_000
    this.#startMs = options.startMs ?? 30_000
    this.#notice = options.onNotice ?? (() => {})
    this.#inbox = new ReplyInbox(nats, 2_000)
    this.#followerOptions = {
      reader: new LogReader(nats, this.#inbox),
      deliver: (event: LiveEvent) => this.#deliver(event),
      isCopy: ({ stream, aggregate }: LiveEvent) => !hasStored(this.#layout, stream, aggregate),
      skip: (aggregate: AggregateRef, seq: number, position: Position) =>
        this.#skip(aggregate, seq, position),
      needsConversation: (c: string) => this.#interest?.needsConversation(c) ?? true,
      needsMarkers: (user: string, c: string) => this.#interest?.needsMarkers(user, c) ?? true,
      digestsFailed: () => this.#narrowMode?.digestsFailed(),
      notice: this.#notice,
      changesHome: layout.ingestPrefixOf({ family: Family.conversation, id: '' }) !== '',
    }
    this.#followers = new Map(
      layout.streams.map(stream => [stream, new StreamFollower(stream, this.#followerOptions)]),
    )
  }

  listen(listener: LiveListener, skipped?: SkippedListener): void {
    this.#listeners.push(listener)
    if (skipped !== undefined) this.#skippedListeners.push(skipped)
  }

  narrowTo(interest: Interest): void {
    this.#interest = interest
  }

  get followed(): Followed {
    return {
      isNarrow: this.#narrowMode?.isNarrow ?? false,
      conversations: this.#narrowMode?.conversations ?? 0,
      delivered: this.#delivered,
      skipped: this.#skipped,
    }
  }

  async start(): Promise<readonly StreamPosition[]> {
    this.#isRunning = true
    this.#subscribe()
    await this.#nats.connection.flush()
    await Promise.all([...this.#followers.values()].map(follower => this.#startFollower(follower)))
    this.#unwatch = this.#watch()
    this.#addFollowers()
    this.#timer = setInterval(() => this.#check(false), this.#checkMs)
    this.#timer.unref()
    this.#unlisten = this.#nats.onChange(connected => {
      if (connected) this.#check(true)
    })
    if (this.#interest !== undefined && this.#mode !== 'everything')
      this.#narrowMode = new NarrowMode({
        nats: this.#nats,
        interest: this.#interest,
        followers: this.#followers,
        receive: msg => this.#receive(msg, Family.conversation),
        everything: { start: () => this.#subscribe(), stop: () => this.#unsubscribe() },
        signals: this.#signals,
        mode: this.#mode,
        worth: this.#worth,
        notice: this.#notice,
      })
    return this.positions()
  }

  /** Starts a follower. The stream of a cluster does not answer before it has elected a leader. */
  async #startFollower(follower: StreamFollower): Promise<void> {
    for (const until = performance.now() + this.#startMs; ; await sleep(startRetryMs))
      try {
        await follower.start()
        return
      } catch (error) {
        if (performance.now() > until || !this.#isRunning) throw error
      }
  }

  #watch(): () => void {
    const watch = this.#layout.watch?.bind(this.#layout)
    if (watch === undefined) return () => {}
    const unwatchCuts = watchCuts(this.#layout as Epochs, (stream, streamSeq, epoch) =>
      this.#followers.get(stream)?.cutOff(streamSeq, epoch),
    )
    const unwatch = watch(() => this.#addFollowers())
    return () => {
      unwatchCuts()
      unwatch()
    }
  }

  /** Follows the streams that were added since the start. */
  #addFollowers(): void {
    for (const stream of this.#layout.streams) {
      if (this.#followers.has(stream)) continue
      const follower = new StreamFollower(stream, this.#followerOptions)
      follower.isNarrow = this.#narrowMode?.isNarrow ?? false
      // Its first check shows whether the feed is complete. Until then the feed is not stale for its sake.
      follower.completeAt = performance.now()
      this.#followers.set(stream, follower)
      this.#follow(follower).catch(error => this.#notice(`${stream} cannot be followed: ${String(error)}`))
    }
  }

  /**
   * Starts to follow a stream that was added. Its events are held until the origin's are delivered, so that the events
   * of each aggregate stay in order.
   */
  async #follow(follower: StreamFollower): Promise<void> {
    const origin = this.#layout.originOf(follower.stream)
    if (origin === undefined) {
      await this.#startFollower(follower)
      return
    }
    while (this.#isRunning) {
      const before = this.#followers.get(origin.stream)
      if ((before?.position ?? -1) >= origin.streamSeq) break
      await before?.check(true)
      await sleep(originPollMs)
    }
    if (this.#isRunning) await follower.startAfter(origin.streamSeq)
  }

  position(stream: string, epoch?: number): number | undefined {
    const follower = this.#followers.get(stream)
    const position = epoch === undefined ? follower?.position : follower?.positionIn(epoch)
    if (position !== undefined) return position
    // Until a stream that was added is followed, its origin delivers the events that they both have.
    const origin = this.#layout.originOf(stream)
    const before = origin && this.position(origin.stream)
    return before === undefined || origin === undefined ? undefined : Math.min(before, origin.streamSeq)
  }

  positions(): readonly StreamPosition[] {
    return this.#layout.streams.map(stream => {
      const origin = this.#layout.originOf(stream)
      const position = {
        family: this.#layout.familyOf(stream),
        stream,
        streamSeq: this.position(stream) ?? 0,
      }
      return origin === undefined ? position : { ...position, origin }
    })
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
    this.#unwatch?.()
    for (const follower of this.#followers.values()) follower.stop()
    await this.#narrowMode?.stop()
    this.#unsubscribe()
    this.#inbox.close()
  }

  #subscribe(): void {
    this.#subscriptions = Object.values(Family).map(family =>
      this.#nats.subscribe(livePatternOf(family), msg => this.#receive(msg, family)),
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

  #skip(aggregate: AggregateRef, seq: number, position: Position): void {
    this.#skipped++
    if (position.streamSeq % sampleEvery === 0) this.#narrowMode?.sample(false)
    for (const listener of this.#skippedListeners)
      try {
        listener(aggregate, seq, position)
      } catch (error) {
        this.#listenerFailed(position, error)
      }
  }

  #deliver(event: LiveEvent): void {
    this.#delivered++
    if (this.#narrowMode !== undefined && event.streamSeq % sampleEvery === 0)
      this.#narrowMode.sample(this.#isNeeded(event))
    for (const listener of this.#listeners)
      try {
        listener(event)
      } catch (error) {
        this.#listenerFailed(event, error)
      }
  }

  /** Whether the feed would deliver an event in narrow mode. */
  #isNeeded(event: LiveEvent): boolean {
    const { family, id } = event.aggregate
    if (this.#interest === undefined) return true
    try {
      if (family === Family.conversation) return this.#interest.needsConversation(id)
      const c = conversationOfMarker(event)
      return c === undefined || this.#interest.needsMarkers(id, c)
    } catch {
      // Not an event of confab.
      return false
    }
  }

  #listenerFailed({ stream, streamSeq }: Position, error: unknown): void {
    this.#notice(`a live listener failed at ${stream} ${streamSeq}: ${String(error)}`)
  }
}
