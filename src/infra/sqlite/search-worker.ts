import { parentPort, workerData } from 'node:worker_threads'
import { ConfabError } from '../../events/index.ts'
import type { SearchQueries } from '../../projections/index.ts'
import { coded, openReader } from './database.ts'
import { sqliteSearchQueries } from './search-queries.ts'
import type { SearchJob, SearchOutcome, SearchThreadData } from './search-thread.ts'

/** The thread of SearchThread. It runs one search after the other. */
const db = openReader((workerData as SearchThreadData).path)
const byGeneration = new Map<number, SearchQueries>()

const queriesAt = (generation: number): SearchQueries => {
  let queries = byGeneration.get(generation)
  if (queries === undefined) {
    queries = coded(() => sqliteSearchQueries(db, generation))
    byGeneration.set(generation, queries)
  }
  return queries
}

const outcomeOf = async ({ id, generation, query }: SearchJob): Promise<SearchOutcome> => {
  try {
    return { id, found: await queriesAt(generation).search(query) }
  } catch (error) {
    const failed = ConfabError.is(error) ? error.toBody() : undefined
    return { id, failed, message: error instanceof Error ? error.message : String(error) }
  }
}

parentPort?.on('message', async (job: SearchJob) => parentPort?.postMessage(await outcomeOf(job)))
