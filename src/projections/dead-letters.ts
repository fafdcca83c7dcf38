import type { StoredEvent } from '../events/index.ts'
import type { DeadLetter } from './event-source.ts'

/** Where events go that a projection could not take. Port; JetStream's is the stream DEAD_LETTERS. */
export interface DeadLetters {
  /** Resolves when it is kept. The same letter may be published again: it is filed once by projection, stream and sequence. */
  publish(letter: DeadLetter, event: StoredEvent): Promise<void>
}
