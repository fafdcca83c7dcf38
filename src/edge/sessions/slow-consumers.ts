import { CloseCode } from '../../events/index.ts'
import { flush } from './outbox.ts'
import type { Session } from './session.ts'
import type { SessionRegistry } from './session-registry.ts'

export interface SlowConsumerOptions {
  /** Limit of the bytes buffered for all sessions. */
  readonly most: number
  /** Limit of the bytes buffered for all sessions of one user; 0: none. */
  readonly userMost: number
  /** Buffered bytes from which on a session is a slow consumer. */
  readonly slowFrom: number
  readonly onSlow: (session: Session) => void
}

interface Buffered {
  readonly session: Session
  readonly bytes: number
}

/** Limits the bytes buffered for slow consumers, per user and for all sessions together. */
export class SlowConsumers {
  readonly #sessions: SessionRegistry
  readonly #most: number
  readonly #userMost: number
  readonly #slowFrom: number
  readonly #onSlow: (session: Session) => void
  #bytes = 0

  constructor(sessions: SessionRegistry, { most, userMost, slowFrom, onSlow }: SlowConsumerOptions) {
    this.#sessions = sessions
    this.#most = most
    this.#userMost = userMost
    this.#slowFrom = slowFrom
    this.#onSlow = onSlow
  }

  /** Bytes buffered at the last count, as a share of the limit. */
  get load(): number {
    return this.#bytes / this.#most
  }

  /** Returns the bytes buffered for all sessions. It asks every transport: call it rarely. */
  count(): number {
    this.#bytes = 0
    for (const session of this.#sessions) if (!session.closed) this.#bytes += session.ws.getBufferedAmount()
    return this.#bytes
  }

  /** Counts buffered bytes, reports slow consumers, and closes the slowest sessions beyond a limit. They resume. */
  check(): void {
    const waiting: Buffered[] = []
    const byUser = new Map<string, number>()
    this.#bytes = 0
    for (const session of this.#sessions) {
      const bytes = session.closed ? 0 : session.ws.getBufferedAmount()
      if (bytes === 0) continue
      this.#bytes += bytes
      waiting.push({ session, bytes })
      byUser.set(session.user, (byUser.get(session.user) ?? 0) + bytes)
      if (bytes > this.#slowFrom) this.#onSlow(session)
    }
    if (this.#userMost > 0)
      // Sessions before `hello` have no user.
      for (const [user, bytes] of byUser)
        if (user !== '' && bytes > this.#userMost)
          this.#closeSlowest(
            waiting.filter(({ session }) => session.user === user),
            bytes - this.#userMost,
          )
    if (this.#bytes > this.#most)
      this.#closeSlowest(
        waiting.filter(({ session }) => !session.closed),
        this.#bytes - this.#most,
      )
  }

  /** Closes the sessions with the most buffered bytes until this excess is gone. */
  #closeSlowest(waiting: Buffered[], excess: number): void {
    waiting.sort((one, other) => other.bytes - one.bytes)
    for (const { session, bytes } of waiting) {
      if (excess <= 0) return
      excess -= bytes
      this.#bytes -= bytes
      session.end(CloseCode.tooSlow, 'too slow')
    }
  }
}

/** Applies back-pressure: senders of much data wait until few bytes are buffered for the session. */
export class WriteRoom {
  readonly #mark: number
  readonly #timeoutMs: number
  readonly #waiting = new Map<Session, (() => void)[]>()

  /** `mark`: buffered bytes up to which a sender continues; `timeoutMs`: how long it waits at most. */
  constructor(mark: number, timeoutMs: number) {
    this.#mark = mark
    this.#timeoutMs = timeoutMs
  }

  /**
   * Flushes the outbox, and resolves when at most `mark` bytes are buffered or the session has closed. Closes the
   * session after the timeout, because other sessions wait for the same resources.
   */
  async room(session: Session): Promise<void> {
    flush(session)
    if (session.closed || session.ws.getBufferedAmount() <= this.#mark) return
    const timeout = setTimeout(() => session.end(CloseCode.tooSlow, 'too slow'), this.#timeoutMs)
    try {
      while (!session.closed && session.ws.getBufferedAmount() > this.#mark) await this.#nextMove(session)
    } finally {
      clearTimeout(timeout)
    }
  }

  /** The client has received some of the buffered bytes, or the session has closed. */
  moved(session: Session): void {
    const waiting = this.#waiting.get(session)
    if (waiting === undefined) return
    this.#waiting.delete(session)
    for (const resolve of waiting) resolve()
  }

  #nextMove(session: Session): Promise<void> {
    return new Promise(resolve => {
      const waiting = this.#waiting.get(session)
      if (waiting === undefined) this.#waiting.set(session, [resolve])
      else waiting.push(resolve)
    })
  }
}
