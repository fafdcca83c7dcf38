/**
 * Loaded into a server by `--import`, with `--expose-gc`: collects garbage and tells the memory of its process when the benchmark asks. It keeps nothing alive.
 */
import { readFileSync } from 'node:fs'

export interface Memory {
  /** Memory that is the process's own, not a file's: bytes in RAM. */
  readonly anonymous: number
  readonly heapUsed: number
}

const collect: unknown = Reflect.get(globalThis, 'gc')

const measure = (): Memory => {
  if (typeof collect === 'function') for (let n = 0; n < 4; n++) collect()
  const kilobytes = /^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  return {
    anonymous: kilobytes === undefined ? process.memoryUsage.rss() : Number(kilobytes) * 1024,
    heapUsed: process.memoryUsage().heapUsed,
  }
}

process.on('message', message => {
  if (message === 'memory' || (message as { memory?: true }).memory === true) process.send?.(measure())
})
process.channel?.unref()
