import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import type { Client } from '@elastic/elasticsearch'
import { backoffMs } from '../../base/backoff.ts'
import { ChangeRejectedError } from '../../projections/index.ts'
import {
  ElasticsearchError,
  ElasticsearchProblem,
  type Failure,
  failureOf,
  named,
  problemOf,
} from './elasticsearch-error.ts'
import type { CompiledOptions } from './elasticsearch-options.ts'

/** Number of retries of temporarily refused documents before the batch fails. */
const mostRetries = 5
const retryBackoff = { firstMs: 100, maxMs: 5_000, jitter: 0.5 }

interface Answer {
  readonly errors: boolean
  readonly items: readonly {
    readonly index: { readonly status: number; readonly error?: { type?: string; reason?: string } }
  }[]
}

const rejections: ReadonlySet<string> = new Set([
  'document_parsing_exception',
  'mapper_parsing_exception',
  'illegal_argument_exception',
  // Whole request: an id or a version is invalid.
  'action_request_validation_exception',
])

/** Whether the document is at fault, not the index. */
const isRejection = ({ status, type }: Failure): boolean => status === 400 && rejections.has(type)
const rejectionOf = ({ type, reason }: Failure): ChangeRejectedError =>
  new ChangeRejectedError(`${type}: ${reason}`)

const isForTheMoment = ({ status, type }: Failure): boolean =>
  (status === 429 || status === 503) && type !== 'cluster_block_exception'

/** Writes documents in bulk requests of bounded size, with a bounded number of bytes in flight. */
export class BulkWriter {
  readonly #client: Client
  readonly #options: CompiledOptions
  readonly #budget: ByteBudget
  readonly #closed = new AbortController()

  constructor(client: Client, options: CompiledOptions) {
    this.#client = client
    this.#options = options
    this.#budget = new ByteBudget(options.inFlightBytes)
  }

  /**
   * Stores documents, each given as its request lines. A document with a newer version is left unchanged. Rejects
   * with ChangeRejectedError when a document can never be stored, else with ElasticsearchError; some documents may be
   * stored then.
   */
  async write(documents: Iterable<string>): Promise<void> {
    const sent: Promise<void>[] = []
    let failed = false
    let lines: string[] = []
    let bytes = 0
    const send = async () => {
      const [chunk, size] = [lines, bytes]
      lines = []
      bytes = 0
      await this.#budget.take(size)
      const stored = this.#store(chunk, size)
      // The outcome is awaited at the end; until then it must not become an unhandled rejection.
      stored.catch(() => {
        failed = true
      })
      sent.push(stored)
      // Let the request leave while the next one is built.
      await turn()
    }
    for (const document of documents) {
      const size = Buffer.byteLength(document)
      if (bytes > 0 && bytes + size > this.#options.bulkBytes) await send()
      if (failed) break
      lines.push(document)
      bytes += size
    }
    if (lines.length > 0 && !failed) await send()
    const outcomes = await Promise.allSettled(sent)
    const reasons = outcomes.flatMap(outcome => (outcome.status === 'rejected' ? [outcome.reason] : []))
    // A document that can never be stored is reported first; the others can be retried.
    if (reasons.length > 0) throw reasons.find(ChangeRejectedError.is) ?? reasons[0]
  }

  close(): void {
    this.#closed.abort()
  }

  /**
   * Stores lines whose bytes were taken from the budget and returns the bytes, also between retries: documents that
   * wait for a retry block no others.
   */
  async #store(lines: readonly string[], bytes: number): Promise<void> {
    let left = lines
    for (let retry = 0; ; retry++) {
      const { again, failure } = await this.#send(left).finally(() => this.#budget.give(bytes))
      if (failure === undefined) return this.#budget.grow(bytes)
      this.#budget.shrink()
      if (retry === mostRetries) throw problemOf(failure)
      await this.#wait(backoffMs(retry + 1, retryBackoff))
      await this.#budget.take(bytes)
      left = again
    }
  }

  async #wait(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, { signal: this.#closed.signal })
    } catch {
      throw new ElasticsearchError(ElasticsearchProblem.unreachable, 'the index was closed during the write')
    }
  }

  /** Sends the lines once; returns those to retry, with the reason. */
  async #send(lines: readonly string[]): Promise<{ again: readonly string[]; failure?: Failure }> {
    let answer: Answer
    try {
      answer = await this.#client.transport.request<Answer>({
        method: 'POST',
        path: '/_bulk',
        bulkBody: lines.join(''),
        querystring: {
          require_alias: true,
          filter_path: 'errors,items.*.status,items.*.error.type,items.*.error.reason',
        },
      })
    } catch (error) {
      const failure = failureOf(error)
      if (failure !== undefined && isForTheMoment(failure)) return { again: lines, failure }
      if (failure !== undefined && isRejection(failure)) throw rejectionOf(failure)
      if (failure?.status === 413 && lines.length > 1) {
        const half = Math.ceil(lines.length / 2)
        const first = await this.#send(lines.slice(0, half))
        const second = await this.#send(lines.slice(half))
        const failed = second.failure ?? first.failure
        return {
          again: [...first.again, ...second.again],
          ...(failed === undefined ? {} : { failure: failed }),
        }
      }
      return named(() => Promise.reject(error))
    }
    if (!answer.errors) return { again: [] }
    const again: string[] = []
    let momentary: Failure | undefined
    for (const [i, { index }] of answer.items.entries()) {
      // 409: the stored version is as new or newer.
      if (index.error === undefined || index.status === 409) continue
      const failure = { status: index.status, type: index.error.type ?? '', reason: index.error.reason ?? '' }
      if (isRejection(failure)) throw rejectionOf(failure)
      if (!isForTheMoment(failure)) throw problemOf(failure)
      momentary = failure
      again.push(lines[i] ?? '')
    }
    return momentary === undefined ? { again } : { again, failure: momentary }
  }
}

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
