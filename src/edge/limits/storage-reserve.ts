import { ConfabError } from '../../events/index.ts'
import type { StorageState } from '../ports/storage-state.ts'

/** `retryAfterMs` of requests that the reserve refuses. */
const retryAfterMs = 60_000

/** Keeps storage free for the log: refuses uploads first, then new conversations. */
export class StorageReserve {
  readonly #state: () => StorageState
  readonly #onRefused: () => void

  constructor(state: () => StorageState, onRefused: () => void) {
    this.#state = state
    this.#onRefused = onRefused
  }

  /** Throws ConfabError OVERLOADED when the storage is low. */
  requireForMedia(): void {
    if (this.#state() !== 'free') this.#refuse('uploads')
  }

  /** Throws ConfabError OVERLOADED when the storage is short. */
  requireForConversation(): void {
    if (this.#state() === 'short') this.#refuse('new conversations')
  }

  #refuse(what: string): never {
    this.#onRefused()
    throw new ConfabError('OVERLOADED', `The storage of this server is nearly full: it accepts no ${what}.`, {
      retryAfterMs,
    })
  }
}
