import { CloseCode } from '../../events/index.ts'
import { flush } from './outbox.ts'
import type { Session } from './session.ts'

/** Waits for slow sockets, so that whoever has much to send to one never has more than a little of it waiting there. */
export class WriteRoom {
  readonly #mark: number
  readonly #patienceMs: number
  readonly #waiting = new Map<Session, (() => void)[]>()

  /** `mark`: bytes that may wait before a sender has to; `patienceMs`: for how long it does. */
  constructor(mark: number, patienceMs: number) {
    this.#mark = mark
    this.#patienceMs = patienceMs
  }

  /** Sends what is there, and resolves once less than the mark waits, or the session has closed: as it is when it takes too long, since others wait for their turn. */
  async room(session: Session): Promise<void> {
    flush(session)
    if (session.closed || session.ws.getBufferedAmount() <= this.#mark) return
    const patience = setTimeout(() => session.end(CloseCode.tooSlow, 'too slow'), this.#patienceMs)
    try {
      await this.#roomAtLast(session)
    } finally {
      clearTimeout(patience)
    }
  }

  async #roomAtLast(session: Session): Promise<void> {
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
