/** Ephemeral messages between edges: core NATS, never stored, may be lost. Port. */
export interface Signals {
  /** To every edge, this one included. `about` is the id of a conversation or a user. */
  publish(about: string, signal: unknown): void
  /** `concerns` is asked first: an edge hears those of the whole system, most of which are about nobody there, and need not be read. */
  listen(listener: (signal: unknown) => void, concerns: (about: string) => boolean): void
}
