import type { Interest } from '../../commands/index.ts'
import type { StreamCatchUp } from '../event-streams/stream-catch-up.ts'
import type { Resumer } from '../resume/resume.ts'
import type { SharedTails } from '../resume/shared-tails.ts'
import type { FanOut } from './fan-out.ts'

/** Which conversations' events this node wants of the live feed: for its sockets, and for whoever is catching up. */
export class Wanted implements Interest {
  readonly #fanOut: FanOut
  readonly #resumer: Resumer
  readonly #tails: SharedTails
  readonly #catchUp: StreamCatchUp

  constructor(parts: { fanOut: FanOut; resumer: Resumer; tails: SharedTails; catchUp: StreamCatchUp }) {
    this.#fanOut = parts.fanOut
    this.#resumer = parts.resumer
    this.#tails = parts.tails
    this.#catchUp = parts.catchUp
  }

  /** Whatever LiveEvents does something with. */
  wants(c: string): boolean {
    return (
      this.#fanOut.audience(c) > 0 ||
      this.#resumer.isFilling(c) ||
      this.#tails.isKeeping(c) ||
      this.#catchUp.wants(c)
    )
  }

  conversations(): Iterable<string> {
    return this.#fanOut.conversations()
  }

  watch(listener: (c: string, isWanted: boolean) => void): void {
    this.#fanOut.watch(listener)
  }
}
