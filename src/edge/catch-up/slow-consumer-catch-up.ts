import type { FanOut } from '../delivery/fan-out.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import type { CatchUp } from './catch-up.ts'

interface SlowConsumerParts {
  readonly fanOut: FanOut
  readonly writeRoom: WriteRoom
  readonly catchUp: CatchUp
  readonly onBehind: () => void
}

/**
 * Holds back events and signals from slow consumers: sessions with many buffered bytes. Only cursors are kept for them.
 * Once the client has read the buffered bytes, the session catches up from the cursors, as after a reconnect. A client
 * that reads too slowly for that is closed. Event streams are not held back: the client of a closed stream resumes by
 * its `Last-Event-ID`.
 */
export class SlowConsumerCatchUp {
  readonly #parts: SlowConsumerParts
  readonly #slowBytes: number
  /** Sessions that were found to be slow while an event was being published. */
  readonly #pressed: Session[] = []

  /** `slowBytes`: buffered bytes above which a session is slow. */
  constructor(parts: SlowConsumerParts, slowBytes: number) {
    this.#parts = parts
    this.#slowBytes = slowBytes
  }

  /**
   * Checks a session whose transport has buffered a frame. A slow one is held back after the current publish, because
   * that makes its topics send the events that they have gathered.
   */
  readonly pressed = (session: Session): void => {
    if (session.behind !== undefined || session.closed) return
    if (session.ws.getBufferedAmount() <= this.#slowBytes) return
    if (this.#pressed.push(session) === 1) queueMicrotask(this.holdPressed)
  }

  /**
   * Holds back the sessions that `pressed` found. Called between two events: one turn of the event loop may publish
   * many.
   */
  readonly holdPressed = (): void => {
    if (this.#pressed.length === 0) return
    for (const session of this.#pressed.splice(0)) this.slow(session)
  }

  /** Holds back a slow session, unless that is done already. */
  slow(session: Session): void {
    if (session.behind !== undefined || session.phase !== 'open' || session.encoding === 'sse') return
    this.#parts.onBehind()
    void this.#catchUp(session)
  }

  /** Never rejects. */
  async #catchUp(session: Session): Promise<void> {
    const { fanOut, writeRoom, catchUp } = this.#parts
    fanOut.hold(session)
    const { epoch } = catchUp
    await writeRoom.room(session)
    // In one turn of the event loop: a live event is either among the missed ones or sent to the session.
    const missed = fanOut.release(session)
    if (!session.closed && missed.size > 0) await catchUp.resume(session, Object.fromEntries(missed), epoch)
  }
}
