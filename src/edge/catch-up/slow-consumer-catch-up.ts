import type { FanOut } from '../delivery/fan-out.ts'
import type { Session } from '../sessions/session.ts'
import type { WriteRoom } from '../sessions/slow-consumers.ts'
import type { Resumer } from './resume.ts'

/**
 * Sessions that do not take what they are sent. Nothing more is kept for them but cursors: they get no signals and no events until they have taken what waits,
 * then what they have missed, as if they had come back; or they are closed, when they take too long for that. Event streams are not among them: what they have is a place in the
 * log, and they come back with it.
 */
export class SlowConsumerCatchUp {
  readonly #fanOut: FanOut
  readonly #writeRoom: WriteRoom
  readonly #resumer: Resumer
  readonly #onBehind: () => void
  readonly #slowFrom: number
  readonly #pressed: Session[] = []

  /** `slowFrom`: bytes that wait for a session from which on it is slow. */
  constructor(
    parts: { fanOut: FanOut; writeRoom: WriteRoom; resumer: Resumer; onBehind: () => void },
    slowFrom: number,
  ) {
    this.#fanOut = parts.fanOut
    this.#writeRoom = parts.writeRoom
    this.#resumer = parts.resumer
    this.#onBehind = parts.onBehind
    this.#slowFrom = slowFrom
  }

  /** Something may wait for it. When it is too much, it is held once what is being sent has been: to hold it makes its topics send what they have gathered. */
  readonly pressed = (session: Session): void => {
    if (session.behind !== undefined || session.closed) return
    if (session.ws.getBufferedAmount() <= this.#slowFrom) return
    if (this.#pressed.push(session) === 1) queueMicrotask(this.holdPressed)
  }

  /** Between two events: many may come in one turn. */
  readonly holdPressed = (): void => {
    if (this.#pressed.length === 0) return
    for (const session of this.#pressed.splice(0)) this.slow(session)
  }

  /** Too much waits for it. */
  slow(session: Session): void {
    if (session.behind !== undefined || session.phase !== 'open' || session.encoding === 'sse') return
    this.#onBehind()
    void this.#catchUp(session)
  }

  /** Does not reject. */
  async #catchUp(session: Session): Promise<void> {
    this.#fanOut.hold(session)
    await this.#writeRoom.room(session)
    // In one turn, so that whatever comes live from now on is either in what it missed or sent to it.
    const missed = this.#fanOut.release(session)
    if (!session.closed && missed.size > 0) await this.#resumer.resume(session, Object.fromEntries(missed))
  }
}
