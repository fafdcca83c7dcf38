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
  /** Bytes buffered at the last count, as a share of the limit. A field, because every request reads it. */
  load = 0
  #bytes = 0

  constructor(sessions: SessionRegistry, { most, userMost, slowFrom, onSlow }: SlowConsumerOptions) {
    this.#sessions = sessions
    this.#most = most
    this.#userMost = userMost
    this.#slowFrom = slowFrom
    this.#onSlow = onSlow
  }

  /** Returns the bytes buffered for all sessions. It asks every transport: call it rarely. */
  count(): number {
    this.#bytes = 0
    for (const session of this.#sessions) if (!session.closed) this.#bytes += session.ws.getBufferedAmount()
    this.load = this.#bytes / this.#most
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
    this.load = this.#bytes / this.#most
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
