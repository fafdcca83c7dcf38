import type { Msg, Subscription } from '@nats-io/transport-node'
import type { LiveEvent, LiveFeed, LiveListener } from '../../commands/index.ts'
import { Family, livePrefix, type Position } from '../../events/index.ts'
import type { Nats } from './connection.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader } from './log-reader.ts'
import { ReplyInbox } from './reply-inbox.ts'
import { liveEvent } from './stored-message.ts'
import { StreamFollower } from './stream-follower.ts'

export interface NatsLiveFeedOptions {
  /** How often each stream's end is compared with what came, ms. Default 1,000. */
  readonly checkMs?: number
  readonly onNotice?: (notice: string) => void
}

/** The live feed over the streams' republished messages: one wildcard a family; see StreamFollower for what makes it whole. */
export class NatsLiveFeed implements LiveFeed {
  readonly #nats: Nats
  readonly #inbox: ReplyInbox
  readonly #followers: ReadonlyMap<string, StreamFollower>
  readonly #listeners: LiveListener[] = []
  readonly #checkMs: number
  readonly #tell: (notice: string) => void
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #unlisten = (): void => {}
  #isRunning = false

  constructor(nats: Nats, layout: LogLayout, options: NatsLiveFeedOptions = {}) {
    this.#nats = nats
    this.#checkMs = options.checkMs ?? 1_000
    this.#tell = options.onNotice ?? (() => {})
    this.#inbox = new ReplyInbox(nats, 2_000)
    const reader = new LogReader(nats, this.#inbox)
    const deliver = (event: LiveEvent): void => this.#deliver(event)
    this.#followers = new Map(
      layout.streams.map(stream => [stream, new StreamFollower(stream, reader, deliver, this.#tell)]),
    )
  }

  listen(listener: LiveListener): void {
    this.#listeners.push(listener)
  }

  async start(): Promise<readonly Position[]> {
    this.#isRunning = true
    this.#subscriptions = Object.values(Family).map(family =>
      this.#nats.connection.subscribe(`${livePrefix}.${family}.*.*`, {
        callback: (_error, msg) => this.#receive(msg, family),
      }),
    )
    await this.#nats.connection.flush()
    await Promise.all([...this.#followers.values()].map(follower => follower.start()))
    this.#timer = setInterval(() => this.#check(false), this.#checkMs)
    this.#timer.unref()
    this.#unlisten = this.#nats.onChange(connected => {
      if (connected) this.#check(true)
    })
    return this.positions()
  }

  position(stream: string): number | undefined {
    return this.#followers.get(stream)?.position
  }

  positions(): readonly Position[] {
    return [...this.#followers.values()].map(({ stream, position }) => ({ stream, streamSeq: position ?? 0 }))
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
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#inbox.close()
  }

  #receive(msg: Msg, family: Family): void {
    const event = liveEvent(msg, family)
    this.#followers.get(event.stream)?.accept(event)
  }

  #check(afterReconnect: boolean): void {
    if (this.#isRunning) for (const follower of this.#followers.values()) void follower.check(afterReconnect)
  }

  #deliver(event: LiveEvent): void {
    for (const listener of this.#listeners)
      try {
        listener(event)
      } catch (error) {
        this.#tell(`a live listener failed at ${event.stream} ${event.streamSeq}: ${String(error)}`)
      }
  }
}
