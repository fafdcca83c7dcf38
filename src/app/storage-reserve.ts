import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorageState } from '../edge/index.ts'
import { accountStorage } from '../infra/nats/index.ts'
import { createStorageMetrics } from '../infra/telemetry/index.ts'
import type { ProcessContext } from './lifecycle.ts'

/** Interval of checks, ms: at most as much as a disk writes in this time is missing from the reserve. */
const checkMs = 500
/** Interval of checks of a NATS account, ms. */
const accountCheckMs = 5_000
/** Largest part of a disk that the reserve takes. */
const mostOfDisk = 1 / 10

interface Storage {
  readonly free: number
  readonly size: number
}

/** Returns the state of a storage. Half of the reserve remains for messages when new conversations are refused. */
export const storageStateOf = ({ free, size }: Storage, reserve: number): StorageState => {
  const kept = Math.min(reserve, size * mostOfDisk)
  if (free >= kept) return 'free'
  return free >= kept / 2 ? 'low' : 'short'
}

const ofFolder = async (folder: string): Promise<Storage | undefined> => {
  try {
    const { bavail, blocks, bsize } = await statfs(folder)
    return { free: bavail * bsize, size: blocks * bsize }
  } catch {
    // The folder does not exist yet, or the media store reports why it cannot be used.
    return undefined
  }
}

/**
 * Watches the storage that the log needs: the disk of the embedded server, or the limit of the account on existing
 * servers; and the disk of a media folder. Resolves with a function that returns the state of the scarcest one.
 */
export const watchStorageReserve = async (context: ProcessContext): Promise<() => StorageState> => {
  const { config, logger, system, registry, onStop } = context
  const reserve = config.storageReserve
  if (reserve === 0) return () => 'free'
  const folders = [
    ...(system.isEmbedded ? [config.data] : []),
    ...(config.s3.bucket === undefined ? [config.mediaFolder ?? join(config.data, 'media')] : []),
  ]
  const measure = async (): Promise<(Storage | undefined)[]> => [
    ...(await Promise.all(folders.map(ofFolder))),
    ...(system.isEmbedded ? [] : [await accountStorage(system.nats)]),
  ]
  let state: StorageState = 'free'
  let free: number | undefined
  const check = async (): Promise<void> => {
    const found = (await measure()).filter(storage => storage !== undefined)
    const states = found.map(storage => storageStateOf(storage, reserve))
    const worst = (['short', 'low'] as const).find(one => states.includes(one)) ?? 'free'
    free = found.length === 0 ? undefined : Math.min(...found.map(storage => storage.free))
    if (worst !== state)
      logger.warn({ state: worst, before: state, freeBytes: free }, 'storage of the log changed its state')
    state = worst
  }
  let isStopped = false
  let timer: NodeJS.Timeout | undefined
  let isFailing = false
  const checkAgain = async (): Promise<void> => {
    try {
      await check()
      isFailing = false
    } catch (error) {
      // JetStream may have no leader for a while. The last state holds meanwhile.
      if (!isFailing) logger.warn({ err: error }, 'storage of the log cannot be checked, retrying')
      isFailing = true
    }
    if (!isStopped)
      timer = setTimeout(() => void checkAgain(), system.isEmbedded ? checkMs : accountCheckMs).unref()
  }
  await checkAgain()
  onStop('storage reserve', () => {
    isStopped = true
    clearTimeout(timer)
  })
  createStorageMetrics(registry, () => ({ state, free }))
  return () => state
}
