/** Port: ephemeral messages between edge nodes over core NATS. They are never stored and may be lost. */
export interface Signals {
  /** Sends a signal to every edge node, this node included. `about` is the id of a conversation or user. */
  publish(about: string, signal: unknown): void
  /** Passes signals to the listener. Signals for whose `about` the function `concerns` returns false are not parsed. */
  listen(listener: (signal: unknown) => void, concerns: (about: string) => boolean): void
}
