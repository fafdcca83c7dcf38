import type { AggregateRef, Position, StoredEvent, StreamPosition } from '../../events/index.ts'

/**
 * A stored event as the live feed delivers it. A node receives the events of the whole system and needs few of them, so
 * `envelope` and `data` are read from the message when they are first used. Do not spread the object.
 *
 * A digest carries a marker without its command id and trace: such an event has an empty `commandId`.
 */
export interface LiveEvent extends StoredEvent {
  /** Event type, as in the envelope. */
  readonly type: string
}

/** Called once for each event. Must not throw or block. */
export type LiveListener = (event: LiveEvent) => void

/**
 * Called in place of the LiveListener for event `seq` of an aggregate that the node does not need. The log has the
 * event at `position`. Must not throw or block.
 */
export type SkippedListener = (aggregate: AggregateRef, seq: number, position: Position) => void

/**
 * Selects the events that a node needs from the live feed. The feed always delivers membership changes and all events
 * of users except markers: their subjects do not say which clients they concern.
 */
export interface Interest {
  /** Whether the node needs the events of a conversation. Asked for each event, when the feed reaches it. */
  needsConversation(c: string): boolean
  /**
   * Whether the node needs the read and delivered markers of a user in a conversation. Asked as `needsConversation`.
   */
  needsMarkers(user: string, c: string): boolean
  /** The conversations of the clients that are connected to this node. */
  conversations(): Iterable<string>
  /** Calls the listener when the first client of a conversation connects, and when the last one disconnects. */
  watch(listener: (c: string, isNeeded: boolean) => void): void
}

/**
 * The events of all streams as they are stored, each once and in the order of its stream. The transport may lose
 * messages: the feed finds the gaps and reads the missing events from the log. Port; contract:
 * test/contracts/live-feed.ts.
 */
export interface LiveFeed {
  /** Adds listeners, which are called in the order of registration. Call it before `start`. */
  listen(listener: LiveListener, skipped?: SkippedListener): void
  /** Allows the feed to skip events outside this interest, when that costs less. Call it before `start`. */
  narrowTo(interest: Interest): void
  /** Resolves with the position of each stream, after which the feed misses no event. */
  start(): Promise<readonly StreamPosition[]>
  /**
   * Stream sequence up to which the feed delivered or skipped all events; with `epoch`, before the first delivered
   * event of a later epoch. Undefined for an unknown stream.
   */
  position(stream: string, epoch?: number): number | undefined
  /**
   * The positions of all streams: first those of conversations, then those of users. The streams of a family are in the
   * order of their lowest partition, so that the order survives the promotion of a mirror with another name.
   */
  positions(): readonly StreamPosition[]
  /** Milliseconds since the feed last knew that it had every stored event. Small while the log is reachable. */
  staleness(): number
  stop(): Promise<void>
}
