import { type ConfabClient, RequestError } from '../client/index.ts'
import type { Attachment } from '../events/index.ts'

/** Maximum number of attachments of a message, as the protocol defines. */
const attachmentLimit = 10

/** A file for the next message of a conversation. */
export interface Upload {
  readonly id: number
  readonly file: File
  /** 0 to 1. */
  readonly progress: number
  /** Why it cannot be sent. */
  readonly problem?: string
  /** Whether a retry may succeed. */
  readonly retryable?: boolean
  /** Set when it can be sent. */
  readonly attachment?: Attachment
}

const problemOf = (error: unknown): string => {
  if (!RequestError.is(error)) return 'This file cannot be read.'
  if (error.code === 'MEDIA_MISMATCH') return 'This is not the kind of file that its name says.'
  if (error.code === 'TOO_LARGE') return 'This file is larger than the server accepts.'
  return error.message
}

interface Entry {
  shown: Upload
  /** Continues a failed upload. */
  mediaId: string | undefined
  controller: AbortController
}

/** Uploads by conversation: they continue while another conversation is shown. */
export class Uploads {
  readonly #client: ConfabClient
  readonly #changed: () => void
  readonly #entries = new Map<string, Entry[]>()
  #made = 0

  constructor(client: ConfabClient, changed: () => void) {
    this.#client = client
    this.#changed = changed
  }

  list(c: string): readonly Upload[] {
    return (this.#entries.get(c) ?? []).map(({ shown }) => shown)
  }

  /** Starts uploading files. Returns how many exceeded the limit. */
  add(c: string, files: readonly File[]): number {
    const entries = this.#entries.get(c) ?? []
    const taken = files.slice(0, Math.max(0, attachmentLimit - entries.length))
    for (const file of taken) {
      const shown: Upload = { id: ++this.#made, file, progress: 0 }
      const entry: Entry = { shown, mediaId: undefined, controller: new AbortController() }
      entries.push(entry)
      void this.#run(c, entry)
    }
    this.#entries.set(c, entries)
    this.#changed()
    return files.length - taken.length
  }

  retry(c: string, id: number): void {
    const entry = this.#entries.get(c)?.find(({ shown }) => shown.id === id)
    if (entry?.shown.problem === undefined) return
    const { file } = entry.shown
    entry.shown = { id, file, progress: 0 }
    entry.controller = new AbortController()
    void this.#run(c, entry)
    this.#changed()
  }

  remove(c: string, id: number): void {
    const entries = this.#entries.get(c) ?? []
    entries.find(({ shown }) => shown.id === id)?.controller.abort()
    this.#keep(
      c,
      entries.filter(({ shown }) => shown.id !== id),
    )
  }

  /** Removes and returns the attachments that are ready. */
  take(c: string): Attachment[] {
    const entries = this.#entries.get(c) ?? []
    this.#keep(
      c,
      entries.filter(({ shown }) => shown.attachment === undefined),
    )
    return entries.flatMap(({ shown: { attachment } }) => (attachment === undefined ? [] : [attachment]))
  }

  close(): void {
    for (const entries of this.#entries.values()) for (const { controller } of entries) controller.abort()
    this.#entries.clear()
  }

  #keep(c: string, entries: Entry[]): void {
    if (entries.length === 0) this.#entries.delete(c)
    else this.#entries.set(c, entries)
    this.#changed()
  }

  async #run(c: string, entry: Entry): Promise<void> {
    const { signal } = entry.controller
    const show = (change: Partial<Upload>): void => {
      if (signal.aborted) return
      entry.shown = { ...entry.shown, ...change }
      this.#changed()
    }
    try {
      const attachment = await this.#client.upload(entry.shown.file, {
        c,
        signal,
        ...(entry.mediaId === undefined ? {} : { mediaId: entry.mediaId }),
        onBegun: mediaId => {
          entry.mediaId = mediaId
        },
        // Reading the file counts as a tenth of the progress.
        onProgress: ({ phase, done, total }) =>
          show({ progress: phase === 'hashing' ? (done / total) * 0.1 : 0.1 + (done / total) * 0.9 }),
      })
      show({ progress: 1, attachment })
    } catch (error) {
      show({ problem: problemOf(error), retryable: !RequestError.is(error) || error.retryable })
    }
  }
}
