import { flush } from './outbox.ts'
import type { Session } from './session.ts'

/** Waits for slow sockets, so that whoever has much to send to one never has more than a little of it waiting there. */
export class Drains {
  readonly #mark: number
  readonly #waiting = new Map<Session, (() => void)[]>()

  /** `mark`: bytes that may wait before a sender has to. */
  constructor(mark: number) {
    this.#mark = mark
  }

  /** Sends what is there, and resolves once less than the mark waits, or the session has closed. */
  async room(session: Session): Promise<void> {
    flush(session)
    while (!session.closed && session.ws.getBufferedAmount() > this.#mark)
      await new Promise<void>(resolve => {
        const waiting = this.#waiting.get(session)
        if (waiting === undefined) this.#waiting.set(session, [resolve])
        else waiting.push(resolve)
      })
  }

  /** The socket has sent something of what waited, or has closed. */
  moved(session: Session): void {
    const waiting = this.#waiting.get(session)
    if (waiting === undefined) return
    this.#waiting.delete(session)
    for (const resolve of waiting) resolve()
  }
}
