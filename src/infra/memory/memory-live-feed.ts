import type { LiveFeed, LiveListener } from '../../commands/index.ts'
import { Family, type StoredEvent, type StreamPosition } from '../../events/index.ts'
import type { MemoryEventLog } from './memory-event-log.ts'

/**
 * The live feed of a log in memory. It loses nothing. By default it delivers each event before the append is answered;
 * with `later`, some time after.
 */
export class MemoryLiveFeed implements LiveFeed {
  readonly #log: MemoryEventLog
  readonly #isLater: boolean
  readonly #listeners: LiveListener[] = []
  readonly #positions = new Map<string, number>()
  #waiting: StoredEvent[] = []
  #unfollow: (() => void) | undefined

  constructor(log: MemoryEventLog, when: 'at once' | 'later' = 'at once') {
    this.#log = log
    this.#isLater = when === 'later'
  }

  listen(listener: LiveListener): void {
    this.#listeners.push(listener)
  }

  /** Does nothing: this feed always delivers every event. */
  narrowTo(): void {}

  start(): Promise<readonly StreamPosition[]> {
    for (const stream of this.#log.streams()) this.#positions.set(stream, this.#log.stream(stream).length)
    this.#unfollow = this.#log.follow(event => {
      if (!this.#isLater) this.#deliver(event)
      else if (this.#waiting.push(event) === 1) setTimeout(() => this.#deliverWaiting(), Math.random() * 3)
    })
    return Promise.resolve(this.positions())
  }

  position(stream: string): number | undefined {
    return this.#positions.get(stream)
  }

  positions(): readonly StreamPosition[] {
    return Object.values(Family).flatMap(family => {
      const stream = this.#log.streamOf({ family, id: '' })
      const streamSeq = this.#positions.get(stream)
      return streamSeq === undefined ? [] : [{ family, stream, streamSeq }]
    })
  }

  staleness(): number {
    return 0
  }

  stop(): Promise<void> {
    this.#unfollow?.()
    this.#unfollow = undefined
    return Promise.resolve()
  }

  #deliverWaiting(): void {
    const events = this.#waiting
    this.#waiting = []
    for (const event of events) this.#deliver(event)
  }

  #deliver(event: StoredEvent): void {
    if (this.#unfollow === undefined) return
    this.#positions.set(event.stream, event.streamSeq)
    const live = { ...event, type: event.envelope.type }
    for (const listener of this.#listeners) listener(live)
  }
}
