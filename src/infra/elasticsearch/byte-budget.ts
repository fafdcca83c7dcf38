/**
 * A number of bytes that may be in use at once; who finds none left waits, first come first served. It is halved, down to one request at a time, whenever the
 * server is too busy, and grows again with what it takes: else requests that are refused and sent again would keep it from taking any.
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

  /** Resolves when there is room. More than all of it goes alone. */
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

  /** A request was refused for want of room. */
  shrink(): void {
    this.#limit = Math.max(1, this.#limit / 2)
  }

  /** A request of so many bytes was taken. */
  grow(size: number): void {
    this.#limit = Math.min(this.#most, this.#limit + size / 4)
  }

  #fits(size: number): boolean {
    return this.#used === 0 || this.#used + size <= this.#limit
  }
}
