import { SingleBar } from 'cli-progress'
import { note } from './output.ts'

export interface BarView {
  readonly done: number
  readonly total: number
  /** Text beside the bar. */
  readonly text: string
}

/** Progress on stderr: a bar on a terminal, otherwise a line every 5 s. */
export interface Bar {
  /** Writes a line above the bar. */
  say(text: string): void
  stop(): void
}

const lineEveryMs = 5_000
const barEveryMs = 200

/** Shows the progress that `read` returns, until `stop`. */
export const startBar = (read: () => BarView): Bar => {
  if (!process.stderr.isTTY) {
    const timer = setInterval(() => {
      const { done, total, text } = read()
      note(`${Math.floor((done / Math.max(total, 1)) * 100)} %: ${text}`)
    }, lineEveryMs)
    return { say: note, stop: () => clearInterval(timer) }
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
  const first = read()
  bar.start(first.total, first.done, { text: first.text })
  const draw = (): void => {
    const { done, total, text } = read()
    bar.setTotal(total)
    bar.update(Math.min(done, total), { text })
  }
  const timer = setInterval(draw, barEveryMs)
  return {
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
