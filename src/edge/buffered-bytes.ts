import { CloseCode } from '../events/index.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

/** What waits for all slow sockets together, and its bound. */
export class BufferedBytes {
  readonly #sessions: SessionRegistry
  readonly #most: number
  #bytes = 0

  constructor(sessions: SessionRegistry, most: number) {
    this.#sessions = sessions
    this.#most = most
  }

  /** Of the bound, when it was looked at last. */
  get load(): number {
    return this.#bytes / this.#most
  }

  /** Asks every socket: for now and then. */
  count(): number {
    let bytes = 0
    for (const session of this.#sessions) if (!session.closed) bytes += session.ws.getBufferedAmount()
    this.#bytes = bytes
    return bytes
  }

  /** Counts, and beyond the bound closes those for whom the most waits, until the rest is within it: they resume. */
  look(): void {
    if (this.count() <= this.#most) return
    const waiting: { session: Session; bytes: number }[] = []
    for (const session of this.#sessions)
      if (!session.closed) waiting.push({ session, bytes: session.ws.getBufferedAmount() })
    waiting.sort((one, other) => other.bytes - one.bytes)
    for (const { session, bytes } of waiting) {
      if (this.#bytes <= this.#most) return
      this.#bytes -= bytes
      session.end(CloseCode.tooSlow, 'too slow')
    }
  }
}
