/**
 * A cache of at most `most` keys that creates missing values. It keeps two generations and drops the older one when the
 * younger one is full: a lookup of a key in use costs one map access, and no order has to be kept.
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

  /** Returns the value of a key, and creates it if needed. */
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

  /** Returns the value of a key if the cache contains it. */
  peek(key: string): T | undefined {
    return this.#young.get(key) ?? this.#old.get(key)
  }

  /** Number of cached keys. A key that was read recently may count twice. */
  get size(): number {
    return this.#young.size + this.#old.size
  }
}
