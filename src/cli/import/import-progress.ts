import { count, span } from '../terminal/output.ts'
import { type Bar, startBar } from '../terminal/progress-bar.ts'
import type { ImportCounts } from './importer.ts'

/** How an import goes. */
export interface ImportProgress extends Bar {
  trouble(what: string | undefined): void
}

const rateOf = ({ messages, memberships, duplicates }: ImportCounts, sinceMs: number): number =>
  Math.round(((messages + memberships + duplicates) * 1000) / Math.max(sinceMs, 1))

export const startProgress = (counts: ImportCounts, totalBytes: number): ImportProgress => {
  const startedAt = performance.now()
  let trouble: string | undefined
  const text = (): string => {
    const elapsed = performance.now() - startedAt
    const left = counts.bytes > 0 ? (elapsed / counts.bytes) * (totalBytes - counts.bytes) : undefined
    return [
      `${count(counts.messages)} messages`,
      ...(counts.duplicates > 0 ? [`${count(counts.duplicates)} there already`] : []),
      ...(counts.bad > 0 ? [`${count(counts.bad)} bad lines`] : []),
      `${count(rateOf(counts, elapsed))}/s`,
      ...(left !== undefined && counts.bytes < totalBytes ? [`${span(left)} left`] : []),
      ...(trouble === undefined ? [] : [`waiting: ${trouble}`]),
    ].join(', ')
  }
  return {
    ...startBar(() => ({ done: counts.bytes, total: totalBytes, text: text() })),
    trouble: what => {
      trouble = what
    },
  }
}
