import type { SharedBound } from './shares.ts'

/**
 * Runs at most `total` jobs at the same time, and at most `share` jobs of one key. Free slots go to the waiting keys
 * in turn, so that a key with many jobs does not delay the other keys.
 */
export class FairSemaphore {
  readonly #share: number
  #free: number
  readonly #running = new Map<string, number>()
  /** Waiting jobs by key. The order of the keys is the order in which they get the next slots. */
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor({ total, share }: SharedBound) {
    this.#free = total
    this.#share = Math.min(share, total)
  }

  /** Number of jobs of a key that wait. */
  waitingOf(key: string): number {
    return this.#waiting.get(key)?.length ?? 0
  }

  /** Runs a job as soon as the semaphore and the key have a free slot. Rejects as the job does. */
  async run<T>(key: string, job: () => Promise<T>): Promise<T> {
    if (this.#hasSlot(key)) this.#take(key)
    else await new Promise<void>(resolve => this.#enqueue(key, resolve))
    try {
      return await job()
    } finally {
      this.#release(key)
    }
  }

  #hasSlot(key: string): boolean {
    return this.#free > 0 && (this.#running.get(key) ?? 0) < this.#share
  }

  #take(key: string): void {
    this.#free--
    this.#running.set(key, (this.#running.get(key) ?? 0) + 1)
  }

  #enqueue(key: string, start: () => void): void {
    const queue = this.#waiting.get(key)
    if (queue === undefined) this.#waiting.set(key, [start])
    else queue.push(start)
  }

  #release(key: string): void {
    this.#free++
    const running = (this.#running.get(key) ?? 1) - 1
    if (running === 0) this.#running.delete(key)
    else this.#running.set(key, running)
    this.#startNext()
  }

  /**
   * Gives the free slot to the first waiting key that has less than `share` jobs running. At most `total` keys are
   * skipped.
   */
  #startNext(): void {
    for (const [key, queue] of this.#waiting) {
      if (!this.#hasSlot(key)) continue
      const start = queue.shift()!
      this.#waiting.delete(key)
      if (queue.length > 0) this.#waiting.set(key, queue)
      this.#take(key)
      start()
      return
    }
  }
}
