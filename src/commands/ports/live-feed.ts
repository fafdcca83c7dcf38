import type { Position, StoredEvent, StreamPosition } from '../../events/index.ts'

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

/** Called instead, for event `seq` of a conversation that nobody here wants: the log has it at `position`. Must not throw, must not block. */
export type PassedListener = (c: string, seq: number, position: Position) => void

/** What a node wants of the live feed. Never passed over are who comes and goes, and all that is of users: there, nobody can tell beforehand whom it concerns. */
export interface Interest {
  /** Whether an event of a conversation is to be brought; asked for each event of the system, when its turn has come. */
  wants(c: string): boolean
  /** The conversations that are wanted for long: of clients that are here. */
  conversations(): Iterable<string>
  /** Tells from now on of those that come to be wanted for long, and are so no more. */
  watch(listener: (c: string, isWanted: boolean) => void): void
}

/**
 * What is being stored, as it is stored: every event of every stream once, in the order of its stream, from the start on. Underneath may be a transport that
 * loses messages; the feed finds holes and tails and fills them from the log. Port; contract: test/contracts/live-feed.ts.
 */
export interface LiveFeed {
  /** Listeners are called in the order that they were added. Add them before `start`. `passed` is for what is not brought, where the feed may be narrow. */
  listen(listener: LiveListener, passed?: PassedListener): void
  /** From now on the feed may pass over what is not wanted, where that is cheaper than to bring it. Call it before `start`. */
  narrowTo(interest: Interest): void
  /** Resolves once it follows all streams; from each stream's position then on, nothing is missed. */
  start(): Promise<readonly StreamPosition[]>
  /** Stream sequence of the last event that was delivered of a stream, or passed over (or where it started). Undefined for an unknown stream. */
  position(stream: string): number | undefined
  /**
   * The positions of all streams: first those of conversations, then those of users. The streams of a family are in the
   * order of their lowest partition, so that the order survives the promotion of a mirror with another name.
   */
  positions(): readonly StreamPosition[]
  /** Milliseconds since it last knew that it had everything; small while the log can be reached. */
  staleness(): number
  stop(): Promise<void>
}
