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
  /** What has been left alone for so long is looked at, ms. */
  readonly keepMs: number
  /** Whether the log has this message, with this media. Rejects when that cannot be known now. */
  readonly wasSent: (c: string, m: string, mediaId: string) => Promise<boolean>
  readonly now?: () => number
}

export interface Swept {
  /** Uploads in parts that nobody went on with. */
  readonly abandoned: number
  /** Uploads that are cleared away: sent long ago, or never. */
  readonly uploads: number
  /** Media of conversations that no message turned out to name. */
  readonly unsent: number
}

/**
 * Clears away what nobody needs any more: uploads that were never finished, never sent, or sent so long ago that the
 * conversation's own copy is all that counts; and what a conversation was given for a message that was never
 * appended. Several processes may do so at the same time.
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
    const cleared = await clear(options, mediaId, objects)
    if (cleared === undefined) continue
    uploads++
    unsent += cleared
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

/** Far less than a tombstone is heeded for, ms. */
const hesitationMs = 60_000

const collect = async (list: AsyncIterable<StoredObject>): Promise<string[]> => {
  const keys: string[] = []
  for await (const { key } of list) keys.push(key)
  return keys
}

/**
 * Clears an upload; gives how many conversations lost it again, undefined when it was left alone because somebody
 * wants it.
 */
const clear = async (
  { store, wasSent }: SweepOptions,
  mediaId: string,
  objects: readonly StoredObject[],
): Promise<number | undefined> => {
  const mark = tombstone(uploadFolder(mediaId))
  await store.put(mark, new Uint8Array())
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
    for (const [c, was] of sent)
      if (!was) {
        await unbind(store, c, mediaId)
        unsent++
      }
    await store.remove(keys.filter(key => key !== mark))
    return unsent
  } finally {
    await store.remove([mark])
  }
}

/** Takes a media from a conversation, and its content when nothing else there is the same. */
const unbind = async (store: MediaStore, c: string, mediaId: string): Promise<void> => {
  const sha256 = hashOfMediaId(mediaId)
  if (sha256 === undefined) return
  await store.remove([bindingOf(c, sha256, mediaId)])
  const folder = contentFolder(c, sha256)
  const mark = tombstone(folder)
  const began = performance.now()
  await store.put(mark, new Uint8Array())
  try {
    const keys = await collect(store.list(folder))
    // A process that was stopped in between does not go on with what it saw long ago: nobody heeds its tombstone any
    // more.
    if (!keys.some(isBinding) && performance.now() - began < hesitationMs)
      await store.remove([contentOf(c, sha256)])
  } finally {
    await store.remove([mark])
  }
}

export interface MediaSweeperOptions {
  readonly media: Media
  /** Whether the log names a medium in the message `m` of conversation `c`; exact, however far the views lag. */
  readonly wasSent: (c: string, m: string, mediaId: string) => Promise<boolean>
  readonly logger: Logger
}

/**
 * Clears away media that nobody needs, now and then: `sweepEveryMs`, less a random part, so that the nodes do not all
 * come at once.
 */
export class MediaSweeper {
  readonly #parts: MediaSweeperOptions
  #timer: NodeJS.Timeout | undefined
  #sweeping: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: MediaSweeperOptions) {
    this.#parts = parts
  }

  start(): void {
    if (this.#stopped) return
    const wait = this.#parts.media.limits.sweepEveryMs * (0.5 + Math.random() / 2)
    this.#timer = setTimeout(() => {
      this.#sweeping = this.sweep().then(() => this.start())
    }, wait).unref()
  }

  /** Does so now. What goes wrong is logged, and tried the next time. */
  async sweep(): Promise<void> {
    const { media, wasSent, logger } = this.#parts
    try {
      const swept = await sweepMedia({
        store: media.store,
        keepMs: media.limits.keepMs,
        wasSent,
      })
      if (swept.abandoned + swept.uploads > 0) logger.info(swept, 'media swept')
    } catch (error) {
      logger.warn({ err: error }, 'media could not be swept')
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#sweeping
  }
}
