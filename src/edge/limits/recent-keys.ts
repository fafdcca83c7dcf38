/**
 * Something of each key that was asked for lately, made when it is not there. Never more than `most` keys: those not asked for the longest are forgotten, in
 * halves, so that a key in use costs one look-up and no order is kept.
 */
export class RecentKeys<T> {
  readonly #half: number
  readonly #make: () => T
  #young = new Map<string, T>()
  #old = new Map<string, T>()

  constructor(most: number, make: () => T) {
    this.#half = Math.max(1, Math.floor(most / 2))
    this.#make = make
  }

  of(key: string): T {
    const known = this.#young.get(key)
    if (known !== undefined) return known
    const value = this.#old.get(key) ?? this.#make()
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
    return value
  }

  /** What a key has, when it is still there. */
  peek(key: string): T | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  /** Keys that are kept; one that was asked for again lately may count twice. */
  get size(): number {
    return this.#young.size + this.#old.size
  }
}
