/**
 * A semaphore over bytes in flight, first come first served. It is halved, down to one request at a time, when the
 * server is too busy, and grows again with each accepted request: otherwise refused and repeated requests would keep
 * the server busy.
 */
export class ByteBudget {
  readonly #most: number
  #limit: number
  #used = 0
  readonly #waiting: { size: number; go: () => void }[] = []

  constructor(most: number) {
    this.#most = most
    this.#limit = most
  }

  /** Resolves when there is room. A request larger than the whole budget runs alone. */
  async take(size: number): Promise<void> {
    if (this.#waiting.length > 0 || !this.#fits(size))
      await new Promise<void>(go => this.#waiting.push({ size, go }))
    else this.#used += size
  }

  give(size: number): void {
    this.#used -= size
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.size); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#used += next.size
      next.go()
    }
  }

  /** A request was refused because the server is busy. */
  shrink(): void {
    this.#limit = Math.max(1, this.#limit / 2)
  }

  /** A request of this size was accepted. */
  grow(size: number): void {
    this.#limit = Math.min(this.#most, this.#limit + size / 4)
  }

  #fits(size: number): boolean {
    return this.#used === 0 || this.#used + size <= this.#limit
  }
}
