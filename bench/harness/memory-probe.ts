/**
 * Loaded into a server with `--import` and `--expose-gc`: collects garbage and reports the memory of its process on
 * request. It does not keep the process alive.
 */
import { readFileSync } from 'node:fs'
import { getHeapSpaceStatistics } from 'node:v8'

export interface Memory {
  /** Anonymous memory in RAM, bytes: the process's own, not a file's. */
  readonly anonymous: number
  /**
   * The part in use: without V8's young generation, which is empty after the collection and as large as the last
   * burst of garbage made it (16 to 56 MB were observed).
   */
  readonly used: number
  readonly heapUsed: number
}

const collect: unknown = Reflect.get(globalThis, 'gc')

const emptyYoungBytes = (): number => {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
  return young === undefined ? 0 : young.physical_space_size - young.space_used_size
}

const measure = (): Memory => {
  if (typeof collect === 'function') for (let n = 0; n < 4; n++) collect()
  const kilobytes = /^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  const anonymous = kilobytes === undefined ? process.memoryUsage.rss() : Number(kilobytes) * 1024
  return { anonymous, used: anonymous - emptyYoungBytes(), heapUsed: process.memoryUsage().heapUsed }
}

process.on('message', message => {
  if (message === 'memory' || (message as { memory?: true }).memory === true) process.send?.(measure())
})
process.channel?.unref()
