import type { LiveFeed, LiveListener } from '../../commands/index.ts'
import type { Position, StoredEvent } from '../../events/index.ts'
import type { MemoryEventLog } from './memory-event-log.ts'

/** The live feed of a log in memory: nothing is ever lost on the way. By default each event comes before its append is answered; `later`, some time after it. */
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

  /** It brings everything: here that costs nothing. */
  narrowTo(): void {}

  start(): Promise<readonly Position[]> {
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

  positions(): readonly Position[] {
    return Array.from(this.#positions, ([stream, streamSeq]) => ({ stream, streamSeq }))
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
