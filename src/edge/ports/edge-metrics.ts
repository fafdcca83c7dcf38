/** Bounds whose refusals are counted, by the label of the metric. */
export type LimitName =
  | 'socket_rate'
  | 'user_rate'
  | 'conversation_rate'
  | 'call_rate'
  | 'user_sockets'
  | 'address_sockets'
  | 'hello_rate'
  | 'hello_time'
  | 'frame_size'
  | 'in_flight'
  | 'presence_watched'
  | 'node'

export interface PresenceFigures {
  /** Users of this node that are online or away. */
  readonly users: number
  /** Users that are watched here. */
  readonly watched: number
  /** Other nodes that are known to live. */
  readonly edges: number
  /** Of what is kept of their users. */
  readonly bytes: number
  readonly pushes: number
}

/** What the edge counts. Port: src/infra/telemetry. */
export interface EdgeMetrics {
  connected(): void
  /** `code` is the close code. */
  disconnected(code: number): void
  /** `outcome` is `ok` or the code of the error; `seconds` from the frame to its answer. */
  answered(type: string, outcome: string, seconds: number): void
  /** A live event went to this many local sockets, so many seconds after it was decided (by the clock of who decided it). */
  delivered(sockets: number, seconds: number): void
  /** A frame was not sent because its socket is too slow; the socket is closed for it. */
  dropped(): void
  /** A session takes too little of what it is sent: it gets what is live again when it has caught up. */
  behind(): void
  /** A bound of the edge has refused something; `limit` names it. */
  limited(limit: LimitName): void
  /** Events that missed-event reads sent. */
  resumed(events: number): void
  /** Missed events were had for one session: from a read that serves others too, or from one of its own. */
  resumeServed(shared: boolean): void
  /** How presence stands, and how many pushes told of it since this was said. */
  presence(figures: PresenceFigures): void
  /** Lists of users that were written for other nodes. */
  presenceStored(lists: number): void
  /** Everything in Prometheus' text format. */
  expose(): Promise<{ contentType: string; body: string }>
}
