import { Worker } from 'node:worker_threads'
import { ConfabError, type ErrorBody } from '../../events/index.ts'
import type { SearchQueries, SearchQuery } from '../../projections/index.ts'

/** A search for the thread. */
export interface SearchJob {
  readonly id: number
  readonly generation: number
  readonly query: SearchQuery
}

type Found = Awaited<ReturnType<SearchQueries['search']>>

/** The end of a job. `failed` undefined: the error has no code. */
export type SearchOutcome =
  | { readonly id: number; readonly found: Found }
  | { readonly id: number; readonly failed: ErrorBody | undefined; readonly message: string }

export interface SearchThreadData {
  readonly path: string
}

interface Waiting {
  readonly resolve: (found: Found) => void
  readonly reject: (error: Error) => void
}

/** TypeScript in a checkout, JavaScript in the package. */
const entry = new URL(
  import.meta.url.endsWith('.ts') ? './search-worker.ts' : './search-worker.js',
  import.meta.url,
)

/**
 * Searches a database file on a thread with a connection of its own. The time of a search depends on the messages in
 * the index and on the words that its user chooses, and SQLite cannot end a step early: on the main thread, a slow
 * search would keep all other clients waiting. The thread starts with the first search, and again after a failure.
 */
export class SearchThread {
  readonly #path: string
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #jobs = 0

  constructor(path: string) {
    this.#path = path
  }

  /** Returns the search in a generation of the view. */
  queriesAt(generation: number): SearchQueries {
    return { search: query => this.#search(generation, query) }
  }

  /** Ends the thread. Searches that wait for it are UNAVAILABLE. */
  close(): void {
    const worker = this.#worker
    this.#failAll(new ConfabError('UNAVAILABLE', 'The search was closed.'))
    void worker?.terminate()
  }

  #search(generation: number, query: SearchQuery): Promise<Found> {
    return new Promise((resolve, reject) => {
      const job: SearchJob = { id: this.#jobs++, generation, query }
      this.#waiting.set(job.id, { resolve, reject })
      const worker = this.#started()
      // The process does not end while a search is under way.
      worker.ref()
      worker.postMessage(job)
    })
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker
    const workerData: SearchThreadData = { path: this.#path }
    const worker = new Worker(entry, { workerData, name: 'search' })
    this.#worker = worker
    worker.on('message', (outcome: SearchOutcome) => this.#ended(worker, outcome))
    const fail = (cause?: unknown): void => {
      if (this.#worker === worker)
        this.#failAll(new ConfabError('UNAVAILABLE', 'The search thread ended; try again.', { cause }))
    }
    worker.on('error', fail)
    worker.on('exit', () => fail())
    return worker
  }

  #ended(worker: Worker, outcome: SearchOutcome): void {
    const waiting = this.#waiting.get(outcome.id)
    this.#waiting.delete(outcome.id)
    if (this.#waiting.size === 0) worker.unref()
    if (waiting === undefined) return
    if ('found' in outcome) {
      waiting.resolve(outcome.found)
      return
    }
    const { failed, message } = outcome
    if (failed === undefined) waiting.reject(new Error(message))
    else waiting.reject(new ConfabError(failed.code, failed.message, failed))
  }

  #failAll(error: ConfabError): void {
    this.#worker = undefined
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { reject } of all) reject(error)
  }
}
