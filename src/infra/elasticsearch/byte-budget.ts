/** A number of bytes that may be in use at once; who finds none left waits, first come first served. */
export class ByteBudget {
  readonly #most: number
  #used = 0
  readonly #waiting: { size: number; go: () => void }[] = []

  constructor(most: number) {
    this.#most = most
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

  #fits(size: number): boolean {
    return this.#used === 0 || this.#used + size <= this.#most
  }
}
