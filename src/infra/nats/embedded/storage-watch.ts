import { closeSync, fstatSync, openSync, readSync, statfsSync } from 'node:fs'

/** What the server logs when its storage failed, or is used up. Neither mends before a restart, even when there is room again. */
const storageFailed =
  /critical write error|no space left on device|file resource limits exceeded|JetStream out of (File|space)/i

/** Bytes that must be free before a server whose storage failed is started again. */
const enoughRoom = 8 * 1024 * 1024

/** Reads what a log file got since the last look. */
const followFile = (file: string): (() => string) => {
  let offset: number | undefined
  return () => {
    let handle: number | undefined
    try {
      handle = openSync(file, 'r')
      const { size } = fstatSync(handle)
      // Rotated: a new file from its start.
      if (offset === undefined || offset > size) offset = offset === undefined ? size : 0
      const chunk = Buffer.alloc(Math.min(size - offset, 64 * 1024))
      readSync(handle, chunk, 0, chunk.length, offset)
      offset += chunk.length
      return chunk.toString()
    } catch {
      return ''
    } finally {
      if (handle !== undefined) closeSync(handle)
    }
  }
}

const hasRoom = (folder: string): boolean => {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= enoughRoom
  } catch {
    return false
  }
}

/**
 * Watches, once a second, whether the server's storage failed. Calls `tell` once when it has, and `recover` when there is room again. Returns what ends it.
 */
export const watchStorage = (
  folder: string,
  logFile: string,
  { tell, recover }: { tell: (notice: string) => void; recover: () => void },
): (() => void) => {
  const news = followFile(logFile)
  news()
  let hasFailed = false
  const timer = setInterval(() => {
    if (!hasFailed && storageFailed.test(news())) {
      hasFailed = true
      tell(
        `nats-server cannot store any more in ${folder}: the disk is full, or fails (see ${logFile}); nothing is acked until it is mended`,
      )
    }
    if (hasFailed && hasRoom(folder)) {
      hasFailed = false
      news()
      recover()
    }
  }, 1_000)
  timer.unref()
  return () => clearInterval(timer)
}
