import type { Subscription } from '@nats-io/transport-node'
import { backoffMs } from '../../../base/backoff.ts'
import { sleep } from '../../../base/sleep.ts'
import type { Cut } from '../../../commands/index.ts'
import type { AggregateRef, Family, Position } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { discoverLog, type FixedLayout, type LogLayout } from './log-layout.ts'

/** The server announces each update of a stream. */
export const streamUpdates = '$JS.EVENT.ADVISORY.STREAM.UPDATED.*'

const checkMs = 5_000
/** Pause before the next attempt, ms. It grows while no stream takes some partition, or NATS does not answer. */
const retryBackoff = { firstMs: 25, maxMs: 1_000, jitter: 0.5 }

const openMs = 5_000

const firstLayout = async (nats: Nats): Promise<FixedLayout> => {
  for (const until = performance.now() + openMs; ; await sleep(retryBackoff.maxMs / 4))
    try {
      return await discoverLog(nats.connection)
    } catch (error) {
      if (performance.now() > until) throw error
    }
}

/**
 * The layout of the log, kept up to date while partitions move between streams. It reads the streams again when the
 * server announces an update, after each reconnect, and every 5 s. While partitions move, no stream takes them: the
 * last layout then stays.
 */
export class LiveLayout implements LogLayout {
  readonly #nats: Nats
  readonly #listeners = new Set<() => void>()
  readonly #subscription: Subscription
  readonly #unlisten: () => void
  readonly #timer: NodeJS.Timeout
  #retry: NodeJS.Timeout | undefined
  #current: FixedLayout
  #failures = 0
  #reading: Promise<void> | undefined
  /** Whether the streams changed after the reading in progress began. */
  #isOutdated = false
  #isClosed = false

  private constructor(nats: Nats, current: FixedLayout) {
    this.#nats = nats
    this.#current = current
    this.#subscription = nats.subscribe(streamUpdates, () => this.refresh())
    this.#unlisten = nats.onChange(connected => {
      if (connected) this.refresh()
    })
    this.#timer = setInterval(() => this.refresh(), checkMs)
    this.#timer.unref()
  }

  /**
   * Reads the layout and follows its changes. Waits up to 5 s while partitions move. Throws NatsError as `discoverLog`
   * does.
   */
  static async open(nats: Nats): Promise<LiveLayout> {
    const layout = new LiveLayout(nats, await firstLayout(nats))
    // A change between the reading and the subscription was not announced.
    layout.refresh()
    return layout
  }

  get streams(): readonly string[] {
    return this.#current.streams
  }

  streamOf(aggregate: AggregateRef): string {
    return this.#current.streamOf(aggregate)
  }

  familyOf(stream: string): Family {
    return this.#current.familyOf(stream)
  }

  originOf(stream: string): Position | undefined {
    return this.#current.originOf(stream)
  }

  epochOf(stream: string): number {
    return this.#current.epochOf(stream)
  }

  cutsOf(stream: string): readonly Cut[] {
    return this.#current.cutsOf(stream)
  }

  ingestPrefixOf(aggregate: AggregateRef): string | undefined {
    return this.#current.ingestPrefixOf(aggregate)
  }

  takesEvents(stream: string): boolean {
    return this.#current.takesEvents(stream)
  }

  /** Calls `listener` after each change. Returns a function that removes the listener. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads the streams soon. Never rejects; a failure is retried. */
  refresh(): void {
    if (this.#isClosed || !this.#nats.connected()) return
    this.#isOutdated = true
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
      if (this.#isOutdated) this.#refreshLater()
    })
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    clearTimeout(this.#retry)
    this.#unlisten()
    this.#subscription.unsubscribe()
    this.#listeners.clear()
  }

  async #read(): Promise<void> {
    this.#isOutdated = false
    try {
      const next = await discoverLog(this.#nats.connection)
      this.#failures = 0
      if (this.#isClosed || next.fingerprint === this.#current.fingerprint) return
      this.#current = next
    } catch {
      // Partitions are moving, or NATS does not answer.
      this.#isOutdated = true
      this.#failures++
      return
    }
    for (const listener of this.#listeners)
      try {
        listener()
      } catch (error) {
        this.#nats.listenerFailed(error, 'layout of the log')
      }
  }

  #refreshLater(): void {
    clearTimeout(this.#retry)
    if (this.#isClosed) return
    this.#retry = setTimeout(() => this.refresh(), backoffMs(Math.max(1, this.#failures), retryBackoff))
    this.#retry.unref()
  }
}
