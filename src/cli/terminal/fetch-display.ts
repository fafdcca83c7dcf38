import type { FetchProgress } from '../../infra/nats/index.ts'

/** Interval of the lines where standard error is no terminal, ms. */
const lineEveryMs = 5_000

/**
 * Shows the fetch of a nats-server: on a terminal as one line of standard error that is redrawn, else as a line now and
 * then. `say` writes such a line.
 */
export const createFetchDisplay = (
  say: (line: string) => void,
): ((progress: FetchProgress | undefined) => void) => {
  const { isTTY } = process.stderr
  let saidAt = Number.NEGATIVE_INFINITY
  let source: string | undefined
  return progress => {
    if (progress === undefined) {
      if (isTTY && source !== undefined) process.stderr.write('\r\x1b[2K')
      return
    }
    const { version, elapsedMs } = progress
    const line = `fetching nats-server ${version} with ${progress.source}, once: ${Math.round(elapsedMs / 1000)} s`
    if (isTTY) process.stderr.write(`\r\x1b[2K${line}`)
    else if (progress.source !== source || elapsedMs - saidAt >= lineEveryMs) {
      say(line)
      saidAt = elapsedMs
    }
    source = progress.source
  }
}
