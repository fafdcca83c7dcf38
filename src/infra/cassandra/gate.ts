/** Lets at most `width` jobs run at once, in the order in which they came. */
export class Gate {
  #free: number
  readonly #waiting: (() => void)[] = []
  #first = 0

  constructor(width: number) {
    this.#free = width
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await job()
    } finally {
      this.#leave()
    }
  }

  /** Runs one job an item and waits for all of them; then rejects with the first error, when there was one. No further jobs are begun after it. */
  async each<T>(items: readonly T[], job: (item: T) => Promise<unknown>): Promise<void> {
    let failed = false
    let failure: unknown
    await Promise.all(
      items.map(item =>
        this.run(async () => {
          if (!failed) await job(item)
        }).catch(error => {
          if (!failed) failure = error
          failed = true
        }),
      ),
    )
    if (failed) throw failure
  }

  #leave(): void {
    const next = this.#waiting[this.#first]
    if (next === undefined) {
      this.#free++
      return
    }
    // Taken from the front without moving the rest each time.
    if (++this.#first > 1024) {
      this.#waiting.splice(0, this.#first)
      this.#first = 0
    }
    next()
  }
}
