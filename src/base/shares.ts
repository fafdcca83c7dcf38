/** A bound of a node, and the share of it that one holder may have. A holder is a user or a client address. */
export interface SharedBound {
  readonly total: number
  readonly share: number
}

/**
 * Counts what holders have of a bound. A holder with its whole share is refused while others are served. Work that can
 * wait uses FairSemaphore.
 */
export class Shares {
  readonly #bound: SharedBound
  readonly #held = new Map<string, number>()
  #used = 0

  constructor(bound: SharedBound) {
    this.#bound = bound
  }

  /** Units that all holders have. */
  get used(): number {
    return this.#used
  }

  heldBy(holder: string): number {
    return this.#held.get(holder) ?? 0
  }

  /** Takes units for a holder. Returns which limit refuses it; undefined on success. */
  take(holder: string, count = 1): 'share' | 'total' | undefined {
    const held = this.heldBy(holder)
    if (held + count > this.#bound.share) return 'share'
    if (this.#used + count > this.#bound.total) return 'total'
    this.#held.set(holder, held + count)
    this.#used += count
    return undefined
  }

  /** Returns units that the holder has taken. */
  release(holder: string, count = 1): void {
    const held = this.heldBy(holder) - count
    this.#used -= count
    if (held > 0) this.#held.set(holder, held)
    else this.#held.delete(holder)
  }
}
