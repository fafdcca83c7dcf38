/** Runs at most `width` jobs at the same time, in the order in which they were submitted. */
export class Semaphore {
  #free: number
  readonly #waiting: (() => void)[] = []
  #first = 0

  constructor(width: number) {
    this.#free = width
  }

  /** Runs a job as soon as a slot is free. Rejects as the job does. */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await job()
    } finally {
      this.#release()
    }
  }

  /**
   * Runs one job for each item and waits for all. After a failure no further job starts. Rejects with the first
   * error.
   */
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

  #release(): void {
    const next = this.#waiting[this.#first]
    if (next === undefined) {
      this.#free++
      return
    }
    // An index instead of shift(): a long queue would be moved on every release.
    if (++this.#first > 1024) {
      this.#waiting.splice(0, this.#first)
      this.#first = 0
    }
    next()
  }
}
