import type { Position, StoredEvent } from '../events/index.ts'

/**
 * A stored event as the feed brings it. A node sees those of the whole system, most of which nobody there is interested in: `stream`, `streamSeq`, `aggregate` and
 * `type` are at hand, `envelope` and `data` are made when they are looked at. Do not spread it.
 */
export interface LiveEvent extends StoredEvent {
  /** The type that the envelope says. */
  readonly type: string
}

/** Called once an event. Must not throw, must not block. */
export type LiveListener = (event: LiveEvent) => void

/**
 * What is being stored, as it is stored: every event of every stream once, in the order of its stream, from the start on. Underneath may be a transport that
 * loses messages; the feed finds holes and tails and fills them from the log. Port; contract: test/contracts/live-feed.ts.
 */
export interface LiveFeed {
  /** Listeners are called in the order that they were added. Add them before `start`. */
  listen(listener: LiveListener): void
  /** Resolves once it follows all streams; from each stream's position then on, nothing is missed. */
  start(): Promise<readonly Position[]>
  /** Stream sequence of the last event that was delivered of a stream (or where it started). Undefined for an unknown stream. */
  position(stream: string): number | undefined
  /** The positions of all streams. */
  positions(): readonly Position[]
  /** Milliseconds since it last knew that it had everything; small while the log can be reached. */
  staleness(): number
  stop(): Promise<void>
}
