import { closeSync, fstatSync, openSync, readSync, statfsSync } from 'node:fs'

/** Log lines of a server whose storage failed or is full. Only a restart ends that state, even when space is free. */
const storageFailed =
  /critical write error|no space left on device|file resource limits exceeded|JetStream out of (File|space)/i

/** Free bytes needed before a server whose storage failed is restarted. */
const neededBytes = 8 * 1024 * 1024

/** Returns a function that reads the bytes appended to a log file since its last call, at most 64 KiB. */
const followFile = (file: string): (() => string) => {
  let offset: number | undefined
  return () => {
    let handle: number | undefined
    try {
      handle = openSync(file, 'r')
      const { size } = fstatSync(handle)
      // A shorter file is a new one, after a rotation.
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

const hasSpace = (folder: string): boolean => {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= neededBytes
  } catch {
    return false
  }
}

/**
 * Checks once a second whether the server's storage failed. Calls `onNotice` once per failure, and `recover` when there
 * is free space again. Returns a function that ends the checks.
 */
export const watchStorage = (
  folder: string,
  logFile: string,
  { onNotice, recover }: { onNotice: (notice: string) => void; recover: () => void },
): (() => void) => {
  const readAppended = followFile(logFile)
  readAppended()
  let hasFailed = false
  const timer = setInterval(() => {
    if (!hasFailed && storageFailed.test(readAppended())) {
      hasFailed = true
      onNotice(
        `nats-server cannot write to ${folder}: the disk is full or failing (see ${logFile}); free space, no append is acknowledged until then`,
      )
    }
    if (hasFailed && hasSpace(folder)) {
      hasFailed = false
      readAppended()
      recover()
    }
  }, 1_000)
  timer.unref()
  return () => clearInterval(timer)
}
