import type { LiveEvent, LiveFeed, LiveListener } from '../../src/commands/index.ts'
import type { StreamPosition } from '../../src/events/index.ts'

/** A live feed that can be made to lag without knowing it, as on a node with a slower network. */
export class HeldFeed implements LiveFeed {
  readonly #feed: LiveFeed
  readonly #listeners: LiveListener[] = []
  readonly #waiting: LiveEvent[] = []
  #held: Map<string, number> | undefined

  constructor(feed: LiveFeed) {
    this.#feed = feed
    feed.listen(event => {
      if (this.#held === undefined) this.#deliver(event)
      else this.#waiting.push(event)
    })
  }

  hold(): void {
    this.#held = new Map(this.positions().map(({ stream, streamSeq }) => [stream, streamSeq]))
  }

  /** Delivers what was held. */
  release(): void {
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      this.#held?.set(event.stream, event.streamSeq)
      this.#deliver(event)
    }
    this.#held = undefined
  }

  listen(listener: LiveListener): void {
    this.#listeners.push(listener)
  }

  /** It delivers everything. */
  narrowTo(): void {}

  start(): Promise<readonly StreamPosition[]> {
    return this.#feed.start()
  }

  position(stream: string): number | undefined {
    return this.#held?.get(stream) ?? this.#feed.position(stream)
  }

  positions(): readonly StreamPosition[] {
    return this.#feed.positions().map(({ family, stream, streamSeq }) => ({
      family,
      stream,
      streamSeq: this.#held?.get(stream) ?? streamSeq,
    }))
  }

  staleness(): number {
    return this.#feed.staleness()
  }

  stop(): Promise<void> {
    return this.#feed.stop()
  }

  #deliver(event: LiveEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
