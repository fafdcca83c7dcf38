import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { ConfabError } from '../../events/index.ts'
import type { StoredPart } from '../../media/index.ts'
import { isMissing } from './object-files.ts'

const uploadPattern = /^[0-9a-f]{32}$/

/** Time without a byte after which another request may send a part instead, ms. */
const defaultStalledMs = 5_000

/**
 * Stores multipart uploads: a folder per upload, with its key and one file per part. A part is renamed to its final
 * name when it is complete and never changes afterwards, so a client that is still sending cannot alter verified
 * bytes.
 */
export class PartFiles {
  readonly #folder: string
  readonly #stalledMs: number

  constructor(folder: string, stalledMs = defaultStalledMs) {
    this.#folder = folder
    this.#stalledMs = stalledMs
  }

  async begin(key: string): Promise<string> {
    const upload = randomBytes(16).toString('hex')
    await mkdir(join(this.#folder, upload), { recursive: true })
    await writeFile(join(this.#folder, upload, 'key'), key)
    return upload
  }

  /** Resolves with undefined when the upload does not exist. */
  async list(key: string, upload: string): Promise<StoredPart[] | undefined> {
    const folder = this.#folderOf(upload)
    try {
      if (folder === undefined || (await readFile(join(folder, 'key'), 'utf8')) !== key) return undefined
      const parts: StoredPart[] = []
      for (const name of await readdir(folder))
        if (/^\d+$/.test(name))
          parts.push({ part: Number(name), size: (await stat(join(folder, name))).size })
      return parts.sort((a, b) => a.part - b.part)
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  /**
   * Stores a part of exactly `size` bytes. One request at a time sends a part, so an upload takes at most the space of
   * its parts twice. A later request replaces one that has stalled. Rejects with ConfabError: NOT_FOUND without the
   * upload, BAD_REQUEST for another number of bytes, OVERLOADED while another request sends the part.
   */
  async take(upload: string, part: number, size: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    const folder = this.#folderOf(upload)
    if (folder === undefined) throw new ConfabError('NOT_FOUND', 'This upload does not exist.')
    const coming = join(folder, `coming-${part}`)
    const file = await this.#claim(coming)
    let isOurs = true
    try {
      try {
        let bytes = 0
        let at = Date.now()
        for await (const chunk of body) {
          if (Date.now() - at > this.#stalledMs) await requireName(file)
          at = Date.now()
          bytes += chunk.length
          if (bytes > size) break
          await file.write(chunk)
        }
        if (bytes !== size) throw new ConfabError('BAD_REQUEST', `Expected a part of ${size} bytes.`)
        await file.sync()
        await requireName(file)
      } finally {
        isOurs = await hasName(file)
        await file.close()
      }
      await rename(coming, join(folder, String(part)))
    } catch (error) {
      if (isOurs) await rm(coming, { force: true })
      if (isMissing(error)) throw new ConfabError('NOT_FOUND', 'This upload does not exist.')
      throw error
    }
  }

  /**
   * Creates the file of a part that a client sends. Replaces a file that does not grow any more: its request has
   * stalled, or its process has failed.
   */
  async #claim(path: string): Promise<FileHandle> {
    for (let isLast = false; ; isLast = true)
      try {
        return await open(path, 'wx')
      } catch (error) {
        if (isMissing(error)) throw new ConfabError('NOT_FOUND', 'This upload does not exist.')
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        const at = await stat(path).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        )
        if (isLast || Date.now() - at < this.#stalledMs) throw sentByAnother()
        await rm(path, { force: true })
      }
  }

  /** Concatenates the parts into one file. */
  async join(upload: string, parts: readonly StoredPart[], target: string): Promise<void> {
    const folder = join(this.#folder, upload)
    const [first] = parts
    if (parts.length === 1 && first !== undefined) {
      await rename(join(folder, String(first.part)), target)
    } else {
      const whole = join(folder, 'whole')
      const file = await open(whole, 'w')
      try {
        for (const { part } of parts)
          for await (const chunk of createReadStream(join(folder, String(part)), {
            highWaterMark: 1024 ** 2,
          }))
            await file.write(chunk as Buffer)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(whole, target)
    }
    await this.abandon(upload)
  }

  async abandon(upload: string): Promise<void> {
    const folder = this.#folderOf(upload)
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }

  async *open(): AsyncIterableIterator<{ key: string; upload: string; at: number }> {
    for (const upload of await readdir(this.#folder).catch(() => []))
      try {
        const file = join(this.#folder, upload, 'key')
        if (uploadPattern.test(upload))
          yield { key: await readFile(file, 'utf8'), upload, at: (await stat(file)).mtimeMs }
      } catch (error) {
        if (!isMissing(error)) throw error
      }
  }

  #folderOf(upload: string): string | undefined {
    return uploadPattern.test(upload) ? join(this.#folder, upload) : undefined
  }
}

const sentByAnother = (): ConfabError =>
  new ConfabError('OVERLOADED', 'This part is being sent by another request.', { retryAfterMs: 1_000 })

/** Whether an open file still has its name: a request that replaces a stalled one removes the name. */
const hasName = async (file: FileHandle): Promise<boolean> => (await file.stat()).nlink > 0

const requireName = async (file: FileHandle): Promise<void> => {
  if (!(await hasName(file))) throw sentByAnother()
}
