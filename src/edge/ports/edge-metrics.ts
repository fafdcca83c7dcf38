import type { StoredEvent } from '../../events/index.ts'

/** Limits whose refusals are counted; values of the metric's label `limit`. */
export type LimitName =
  | 'socket_rate'
  | 'user_rate'
  | 'conversation_rate'
  | 'call_rate'
  | 'user_sockets'
  | 'address_sockets'
  | 'hello_rate'
  | 'user_hello_rate'
  | 'address_failures'
  | 'address_newcomers'
  | 'address_connects'
  | 'hello_time'
  | 'frame_size'
  | 'in_flight'
  | 'presence_watched'
  | 'malformed_requests'
  | 'search_time'
  | 'quota'
  | 'storage'
  | 'node'

/** Gauges and counts of presence on this node. */
export interface PresenceFigures {
  /** Users of this node that are online or away. */
  readonly users: number
  /** Users that sessions of this node watch. */
  readonly watched: number
  /** Other edge nodes whose presence record is valid. */
  readonly edges: number
  /** Bytes of the presence records of other nodes. */
  readonly bytes: number
  /** Presence pushes since the last call. */
  readonly pushes: number
}

/** Port: metrics of the edge. src/infra/telemetry implements it. */
export interface EdgeMetrics {
  /** A session's transport has opened. */
  connected(): void
  /** A session's transport has closed with this close code. */
  disconnected(code: number): void
  /** A request was answered. `outcome` is `ok` or an error code; `seconds` is the time from the frame to the answer. */
  answered(type: string, outcome: string, seconds: number): void
  /**
   * A live event was sent to local sessions, this many seconds after the decision by the clock of the commands node.
   */
  delivered(sockets: number, seconds: number, event: StoredEvent): void
  /** A frame was dropped, and its slow consumer is closed. */
  dropped(): void
  /** A session became a slow consumer. */
  behind(): void
  /** A limit refused a request or connection. */
  limited(limit: LimitName): void
  /** Catch-up sent this many events. */
  resumed(events: number): void
  /** Catch-up of a conversation used a read shared with other sessions, or a read of its own. */
  resumeServed(shared: boolean): void
  /** Reports the current presence figures. */
  presence(figures: PresenceFigures): void
  /** Presence records of this node were written to the store. */
  presenceStored(lists: number): void
}
