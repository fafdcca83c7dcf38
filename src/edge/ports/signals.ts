/** The conversations and users whose signals an edge node needs. */
export interface SignalInterest {
  /** Whether the signals about a conversation or user concern a client of this node. Asked for each signal. */
  needs(id: string): boolean
  /** The conversations and users of the clients that are connected to this node. */
  ids(): Iterable<string>
  /** Calls the listener when the first client of a conversation or user connects, and when the last disconnects. */
  watch(listener: (id: string, isNeeded: boolean) => void): void
}

/** Ephemeral messages between edge nodes: never stored, and lost while the transport is unavailable. Port. */
export interface Signals {
  /** Sends a signal to every edge node that needs it, this node included. `about`: id of a conversation or a user. */
  publish(about: string, signal: unknown): void
  /** Calls the listener with each signal of the interest. A node has one listener. */
  listen(listener: (signal: unknown) => void, interest: SignalInterest): void
}
