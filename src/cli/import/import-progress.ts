import { SingleBar } from 'cli-progress'
import { count, note, span } from '../output.ts'
import type { ImportCounts } from './importer.ts'

/** How an import goes, on stderr: a bar on a terminal, otherwise a line now and then. */
export interface ImportProgress {
  trouble(what: string | undefined): void
  /** A line that stays. */
  say(text: string): void
  stop(): void
}

const linesEveryMs = 5_000
const barEveryMs = 200

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

  if (!process.stderr.isTTY) {
    const timer = setInterval(
      () => note(`${Math.floor((counts.bytes / Math.max(totalBytes, 1)) * 100)} %: ${text()}`),
      linesEveryMs,
    )
    return {
      trouble: what => {
        trouble = what
      },
      say: note,
      stop: () => clearInterval(timer),
    }
  }

  const bar = new SingleBar({
    format: '{bar} {percentage} %  {text}',
    barCompleteChar: '━',
    barIncompleteChar: '─',
    barsize: 24,
    hideCursor: true,
    stopOnComplete: false,
    clearOnComplete: true,
    stream: process.stderr,
  })
  bar.start(totalBytes, 0, { text: text() })
  const draw = (): void => bar.update(Math.min(counts.bytes, totalBytes), { text: text() })
  const timer = setInterval(draw, barEveryMs)
  return {
    trouble: what => {
      trouble = what
    },
    say: line => {
      process.stderr.write('\r\x1b[2K')
      note(line)
      draw()
    },
    stop: () => {
      clearInterval(timer)
      bar.stop()
    },
  }
}
