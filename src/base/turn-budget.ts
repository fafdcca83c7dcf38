/**
 * Keeps synchronous work from filling a turn of the event loop, in which sockets wait: when the jobs of a turn have
 * taken `ms`, further jobs run in the next turns, in order.
 */
export class TurnBudget {
  readonly #ms: number
  #waiting: (() => void)[] = []
  #spentMs = 0
  #isScheduled = false

  constructor(ms: number) {
    this.#ms = ms
  }

  /** Runs a job now, or in a later turn. Only the synchronous part of the job counts. Rejects as the job does. */
  run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#waiting.length === 0 && this.#spentMs < this.#ms) return this.#measured(job)
    return new Promise(resolve => this.#waiting.push(() => resolve(this.#measured(job))))
  }

  #measured<T>(job: () => Promise<T>): Promise<T> {
    const started = performance.now()
    const result = job()
    this.#spentMs += performance.now() - started
    if (!this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => this.#turn())
    }
    return result
  }

  #turn(): void {
    this.#isScheduled = false
    this.#spentMs = 0
    let next = 0
    while (next < this.#waiting.length && this.#spentMs < this.#ms) this.#waiting[next++]!()
    if (next > 0) this.#waiting = this.#waiting.slice(next)
  }
}
