import { CloseCode } from '../../events/index.ts'
import { flush } from './outbox.ts'
import type { Session } from './session.ts'

/** Applies back-pressure to senders that have much to send to one session: few of its bytes are buffered at a time. */
export class WriteRoom {
  readonly #maxBytes: number
  readonly #timeoutMs: number
  readonly #waiting = new Map<Session, (() => void)[]>()

  /**
   * `maxBytes`: buffered bytes up to which a session has room; `timeoutMs`: how long a client may take to make room.
   */
  constructor(maxBytes: number, timeoutMs: number) {
    this.#maxBytes = maxBytes
    this.#timeoutMs = timeoutMs
  }

  /**
   * Returns a function to call before each frame, with its bytes. It returns false when the client has to read first.
   */
  pacerOf(session: Session): (bytes: number) => boolean {
    // A sender checks often enough to exceed the bound by half of it at most.
    const checkBytes = this.#maxBytes / 2
    let unchecked: number | undefined
    return bytes => {
      if (unchecked === undefined || unchecked >= checkBytes) {
        // Before the first frame, a check must not cost a system call: most senders have few bytes.
        if (unchecked !== undefined) flush(session)
        if (!this.#hasRoom(session)) return false
        unchecked = 0
      }
      unchecked += bytes
      return !session.closed
    }
  }

  /**
   * Flushes the session and resolves when it has room or has closed. A client that does not make room within the
   * timeout is closed as too slow.
   */
  async room(session: Session): Promise<void> {
    flush(session)
    if (session.closed || this.#hasRoom(session)) return
    const timeout = setTimeout(() => session.end(CloseCode.tooSlow, 'too slow'), this.#timeoutMs)
    try {
      while (!session.closed && !this.#hasRoom(session))
        await new Promise<void>(resolve => this.#enqueue(session, resolve))
    } finally {
      clearTimeout(timeout)
    }
  }

  /**
   * Wakes the senders of a session. The transport calls it after it has sent buffered bytes, and after it has closed.
   */
  moved(session: Session): void {
    const waiting = this.#waiting.get(session)
    if (waiting === undefined) return
    this.#waiting.delete(session)
    for (const resolve of waiting) resolve()
  }

  #hasRoom(session: Session): boolean {
    return !session.closed && session.ws.getBufferedAmount() <= this.#maxBytes
  }

  #enqueue(session: Session, resolve: () => void): void {
    const waiting = this.#waiting.get(session)
    if (waiting === undefined) this.#waiting.set(session, [resolve])
    else waiting.push(resolve)
  }
}
