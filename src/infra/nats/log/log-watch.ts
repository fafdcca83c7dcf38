import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/connection.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader, unavailable } from './log-reader.ts'

const timeoutMs = 2_000
const intervalMs = 1_000

/**
 * Watches whether every stream of the log has a leader that answers. It asks each leader once a second. Only unanswered
 * requests count: a process that is busy with a long transaction does not report the log as lost.
 */
export class LogWatch {
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader
  readonly #layout: Pick<LogLayout, 'streams'>
  readonly #timer: NodeJS.Timeout
  /** When the first request of the current run of failures was sent. */
  #lostAt: number | undefined
  #isAsking = false

  constructor(nats: Nats, layout: Pick<LogLayout, 'streams'>) {
    this.#inbox = new ReplyInbox(nats, timeoutMs)
    this.#reader = new LogReader(nats, this.#inbox)
    this.#layout = layout
    this.#timer = setInterval(() => void this.#askLeaders(), intervalMs)
    this.#timer.unref()
  }

  /** Returns for how long some stream has had no leader that answers, ms; 0 while all have one. */
  lostForMs(): number {
    return this.#lostAt === undefined ? 0 : performance.now() - this.#lostAt
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#inbox.close()
  }

  /** Asks all leaders, one round at a time. Never rejects. */
  async #askLeaders(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const sentAt = performance.now()
    try {
      const bounds = await Promise.all(this.#layout.streams.map(stream => this.#reader.bounds(stream)))
      if (bounds.some(({ isLed }) => !isLed)) throw unavailable('a stream has no leader')
      this.#lostAt = undefined
    } catch {
      this.#lostAt ??= sentAt
    } finally {
      this.#isAsking = false
    }
  }
}
