import { CloseCode } from '../../events/index.ts'
import { flush } from './outbox.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

export interface SlowConsumerOptions {
  /** Bytes that may wait for all together. */
  readonly most: number
  /** Bytes that wait for one from which on it is slow. */
  readonly slowFrom: number
  readonly onSlow: (session: Session) => void
}

/** What waits for slow sockets, and its bound for all of them together. */
export class SlowConsumers {
  readonly #sessions: SessionRegistry
  readonly #most: number
  readonly #slowFrom: number
  readonly #onSlow: (session: Session) => void
  #bytes = 0

  constructor(sessions: SessionRegistry, { most, slowFrom, onSlow }: SlowConsumerOptions) {
    this.#sessions = sessions
    this.#most = most
    this.#slowFrom = slowFrom
    this.#onSlow = onSlow
  }

  /** Of the bound, when it was looked at last. */
  get load(): number {
    return this.#bytes / this.#most
  }

  /** Asks every socket: for now and then. */
  count(): number {
    this.#bytes = 0
    for (const session of this.#sessions) if (!session.closed) this.#bytes += session.ws.getBufferedAmount()
    return this.#bytes
  }

  /** Counts, tells of those that are slow, and beyond the bound closes those for whom the most waits, until the rest is within it: they resume. */
  look(): void {
    const waiting: { session: Session; bytes: number }[] = []
    this.#bytes = 0
    for (const session of this.#sessions) {
      const bytes = session.closed ? 0 : session.ws.getBufferedAmount()
      if (bytes === 0) continue
      this.#bytes += bytes
      waiting.push({ session, bytes })
      if (bytes > this.#slowFrom) this.#onSlow(session)
    }
    if (this.#bytes <= this.#most) return
    waiting.sort((one, other) => other.bytes - one.bytes)
    for (const { session, bytes } of waiting) {
      if (this.#bytes <= this.#most) return
      this.#bytes -= bytes
      session.end(CloseCode.tooSlow, 'too slow')
    }
  }
}

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
