import type { StoredEvent } from '../../../events/index.ts'

/** Reads the messages of a stream after a sequence, in order, each once, until it is stopped. */
export interface StreamReader {
  /** Time since the server last showed that it answers for this stream, ms. While it does, at most 2 s. */
  readonly silentMs: number
  /**
   * Resolves with the next messages, at most `max`. Waits for the first. Resolves with none when the end of the stream
   * is reached for now, or when the reader is stopped.
   */
  next(max: number): Promise<StoredEvent[]>
  stop(): void
}
