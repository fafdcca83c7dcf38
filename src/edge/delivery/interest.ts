import type { Interest } from '../../commands/index.ts'
import type { FanOut } from './fan-out.ts'

/** Something that needs live events of a conversation although no socket subscribes to it: a catch-up in progress. */
export interface NeedsEvents {
  needs(c: string): boolean
}

/** The conversations whose events this edge node needs from the live feed: those of its sockets, and those of catch-ups. */
export class EdgeInterest implements Interest {
  readonly #fanOut: FanOut
  readonly #others: readonly NeedsEvents[]

  constructor(fanOut: FanOut, others: readonly NeedsEvents[]) {
    this.#fanOut = fanOut
    this.#others = others
  }

  wants(c: string): boolean {
    return this.#fanOut.audience(c) > 0 || this.#others.some(other => other.needs(c))
  }

  conversations(): Iterable<string> {
    return this.#fanOut.conversations()
  }

  watch(listener: (c: string, isWanted: boolean) => void): void {
    this.#fanOut.watch(listener)
  }
}
