/** Ephemeral messages between edges: core NATS, never stored, may be lost. Port. */
export interface Signals {
  /** To every edge, this one included. `about` is the id of a conversation or a user. */
  publish(about: string, signal: unknown): void
  listen(listener: (about: string, signal: unknown) => void): void
}
