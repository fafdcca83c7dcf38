import type { Logger } from '../base/logger.ts'
import type { Media } from './media.ts'
import {
  bindingOf,
  contentFolder,
  contentOf,
  hashOfMediaId,
  intentOf,
  isBinding,
  isTombstone,
  partsOfUploadKey,
  tombstone,
  uploadFolder,
} from './media-binding.ts'
import type { MediaStore, StoredObject } from './media-store.ts'

export interface SweepOptions {
  readonly store: MediaStore
  /** Minimum age of objects to sweep, ms. */
  readonly keepMs: number
  /** Whether the log holds this message with this media. Rejects when the log cannot be read. */
  readonly wasSent: (c: string, m: string, mediaId: string) => Promise<boolean>
  readonly now?: () => number
}

export interface Swept {
  /** Multipart uploads that were abandoned. */
  readonly abandoned: number
  /** Uploads that were removed: sent long ago, or never sent. */
  readonly uploads: number
  /** Media that were removed from a conversation because no message names them. */
  readonly unsent: number
}

/**
 * Removes media that are not needed: uploads that were never finished or never sent; uploads whose content was copied
 * to a conversation long ago; and media bound to a conversation for a message that was never appended. Several
 * processes may sweep at the same time.
 */
export const sweepMedia = async (options: SweepOptions): Promise<Swept> => {
  const { store, keepMs } = options
  const now = options.now ?? Date.now
  let abandoned = 0
  for await (const { key, upload, at } of store.openUploads()) {
    if (now() - at < keepMs) continue
    await store.abandonUpload(key, upload)
    abandoned++
  }
  let uploads = 0
  let unsent = 0
  for await (const { mediaId, objects } of byUpload(store)) {
    if (now() - Math.max(...objects.map(({ at }) => at)) < keepMs) continue
    const unbound = await removeUpload(options, mediaId, objects)
    if (unbound === undefined) continue
    uploads++
    unsent += unbound
  }
  return { abandoned, uploads, unsent }
}

interface Upload {
  readonly mediaId: string
  readonly objects: readonly StoredObject[]
}

async function* byUpload(store: MediaStore): AsyncIterableIterator<Upload> {
  let current: { mediaId: string; objects: StoredObject[] } | undefined
  for await (const object of store.list('uploads/')) {
    const mediaId = partsOfUploadKey(object.key)?.mediaId
    if (mediaId === undefined) continue
    if (current?.mediaId !== mediaId) {
      if (current !== undefined) yield current
      current = { mediaId, objects: [] }
    }
    current.objects.push(object)
  }
  if (current !== undefined) yield current
}

/**
 * Longest time between writing a tombstone and acting on it, ms. Far less than the time in which a tombstone is
 * valid.
 */
const maxTombstoneUseMs = 60_000

const collect = async (list: AsyncIterable<StoredObject>): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of list) keys.push(key)
  return keys
}

/**
 * Removes an upload. Returns how many conversations lost the media; undefined when another process is using the
 * upload.
 */
const removeUpload = async (
  { store, wasSent }: SweepOptions,
  mediaId: string,
  objects: readonly StoredObject[],
): Promise<number | undefined> => {
  const ownTombstone = tombstone(uploadFolder(mediaId))
  await store.put(ownTombstone, new Uint8Array())
  try {
    const known = new Set(objects.map(({ key }) => key))
    const keys = await collect(store.list(uploadFolder(mediaId)))
    if (keys.some(key => !known.has(key) && !isTombstone(key))) return undefined
    const sent = new Map<string, boolean>()
    for (const key of keys) {
      const intent = intentOf(partsOfUploadKey(key)?.rest ?? '')
      if (intent === undefined) continue
      const { c, m } = intent
      if (sent.get(c) !== true) sent.set(c, await wasSent(c, m, mediaId))
    }
    let unsent = 0
    for (const [c, wasSentIn] of sent)
      if (!wasSentIn) {
        await unbind(store, c, mediaId)
        unsent++
      }
    await store.remove(keys.filter(key => key !== ownTombstone))
    return unsent
  } finally {
    await store.remove([ownTombstone])
  }
}

/** Removes media from a conversation, and the content unless another binding refers to it. */
const unbind = async (store: MediaStore, c: string, mediaId: string): Promise<void> => {
  const sha256 = hashOfMediaId(mediaId)
  if (sha256 === undefined) return
  await store.remove([bindingOf(c, sha256, mediaId)])
  const folder = contentFolder(c, sha256)
  const ownTombstone = tombstone(folder)
  const startedAt = performance.now()
  await store.put(ownTombstone, new Uint8Array())
  try {
    const keys = await collect(store.list(folder))
    // A process that was suspended in between must not act on its old listing: its tombstone may have expired.
    if (!keys.some(isBinding) && performance.now() - startedAt < maxTombstoneUseMs)
      await store.remove([contentOf(c, sha256)])
  } finally {
    await store.remove([ownTombstone])
  }
}

export interface MediaSweeperOptions {
  readonly media: Media
  /** Whether message `m` of conversation `c` names this media. Exact, however far the views lag. */
  readonly wasSent: (c: string, m: string, mediaId: string) => Promise<boolean>
  readonly logger: Logger
}

/** Sweeps media periodically: every `sweepEveryMs`, less a random part, so that nodes do not sweep at the same time. */
export class MediaSweeper {
  readonly #options: MediaSweeperOptions
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: MediaSweeperOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#stopped) return
    const wait = this.#options.media.limits.sweepEveryMs * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => {
      this.#sweeping = this.sweep().then(() => this.start())
    }, wait).unref()
  }

  /** Sweeps once. Logs an error and leaves the work to the next sweep. */
  async sweep(): Promise<void> {
    const { media, wasSent, logger } = this.#options
    try {
      const swept = await sweepMedia({
        store: media.store,
        keepMs: media.limits.keepMs,
        wasSent,
      })
      if (swept.abandoned + swept.uploads > 0) logger.info(swept, 'media swept')
    } catch (error) {
      logger.warn({ err: error }, 'media sweep failed')
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#sweeping
  }
}
