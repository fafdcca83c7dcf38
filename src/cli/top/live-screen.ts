import type { SystemState } from '../../app/ops/system-state.ts'
import { aborted, sleep } from '../../base/sleep.ts'
import { print, styled } from '../terminal/output.ts'
import { screenText } from './screen-text.ts'

/** Time between two reads, ms. A read takes about half a second. */
const pauseMs = 500

const Screen = {
  /** Alternate screen, no cursor, no wrap of long lines. */
  enter: '\x1b[?1049h\x1b[?25l\x1b[?7l',
  leave: '\x1b[?7h\x1b[?25h\x1b[?1049l',
  home: '\x1b[H',
  clearLine: '\x1b[K',
  clearBelow: '\x1b[J',
} as const

const ctrlC = '\x03'

/** Returns a frame that overwrites the one before, cut to the height of the terminal. */
const frameOf = (text: string, rows: number): string => {
  const lines = text.trimEnd().split('\n')
  const shown = lines.length < rows ? lines : [...lines.slice(0, Math.max(0, rows - 2)), styled('dim', '…')]
  shown.push(styled('dim', 'q: quit'))
  return Screen.home + shown.map(line => line + Screen.clearLine).join('\r\n') + Screen.clearBelow
}

/**
 * Shows the state in the whole terminal, about once a second, until `q`, Ctrl-C or `signal`. Restores the terminal.
 * Rejects with the reason of the signal when Ctrl-C or a signal ends it.
 */
export const showLive = async (read: () => Promise<SystemState>, signal: AbortSignal): Promise<void> => {
  const { stdin, stdout } = process
  const ended = new AbortController()
  let latest: SystemState | undefined
  const draw = (): void => {
    if (latest === undefined || ended.signal.aborted) return
    stdout.write(frameOf(screenText(latest, stdout.columns), stdout.rows || 24))
  }
  const onKey = (data: Buffer): void => {
    const key = data.toString()
    if (key === 'q' || key === 'Q') ended.abort()
    else if (key.includes(ctrlC)) process.kill(process.pid, 'SIGINT')
  }
  const stop = (): void => ended.abort()
  const restore = (): void => void stdout.write(Screen.leave)
  signal.addEventListener('abort', stop)
  stdout.on('resize', draw)
  process.once('exit', restore)
  stdin.setRawMode(true)
  stdin.on('data', onKey)
  await print(Screen.enter)
  try {
    while (!ended.signal.aborted && !signal.aborted) {
      const state = await Promise.race([read(), aborted(ended.signal)])
      latest = state ?? latest
      draw()
      await sleep(pauseMs, ended.signal)
    }
  } finally {
    process.off('exit', restore)
    stdout.off('resize', draw)
    stdin.off('data', onKey)
    stdin.setRawMode(false)
    stdin.pause()
    signal.removeEventListener('abort', stop)
    restore()
  }
  signal.throwIfAborted()
}
