import { SingleBar } from 'cli-progress'
import { note } from './output.ts'

export interface BarView {
  readonly done: number
  readonly total: number
  /** What stands beside the bar. */
  readonly text: string
}

/** How something goes, on stderr: a bar on a terminal, otherwise a line now and then. */
export interface Bar {
  /** A line that stays. */
  say(text: string): void
  stop(): void
}

const lineEveryMs = 5_000
const barEveryMs = 200

/** Shows what `look` says until it is stopped. */
export const startBar = (look: () => BarView): Bar => {
  if (!process.stderr.isTTY) {
    const timer = setInterval(() => {
      const { done, total, text } = look()
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
  const first = look()
  bar.start(first.total, first.done, { text: first.text })
  const draw = (): void => {
    const { done, total, text } = look()
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
