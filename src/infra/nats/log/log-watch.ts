import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/reply-inbox.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader, unavailable } from './log-reader.ts'

const patienceMs = 2_000
const everyMs = 1_000

/**
 * Whether the log can be followed: asks each stream's leader, once a second. What counts is that one doesn't answer, never that this process was too busy to ask
 * or to hear: views are written in long transactions.
 */
export class LogWatch {
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader
  readonly #streams: readonly string[]
  readonly #timer: NodeJS.Timeout
  /** When the first was asked of those that have failed since one that did not. */
  #lostAt: number | undefined
  #isAsking = false

  constructor(nats: Nats, { streams }: Pick<LogLayout, 'streams'>) {
    this.#inbox = new ReplyInbox(nats, patienceMs)
    this.#reader = new LogReader(nats, this.#inbox)
    this.#streams = streams
    this.#timer = setInterval(() => void this.#look(), everyMs)
    this.#timer.unref()
  }

  /** For how long some stream has been without a leader that answers, ms; 0 while all have one. */
  lostForMs(): number {
    return this.#lostAt === undefined ? 0 : performance.now() - this.#lostAt
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#inbox.close()
  }

  /** Never rejects; one at a time. */
  async #look(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const asked = performance.now()
    try {
      const bounds = await Promise.all(this.#streams.map(stream => this.#reader.bounds(stream)))
      // A copy that has lost the others answers what it has.
      if (bounds.some(({ isLed }) => !isLed)) throw unavailable('a stream has no leader')
      this.#lostAt = undefined
    } catch {
      this.#lostAt ??= asked
    } finally {
      this.#isAsking = false
    }
  }
}
