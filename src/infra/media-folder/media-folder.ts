import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type {
  DownloadAs,
  LocalDownload,
  LocalTransfers,
  MediaStore,
  PartUpload,
  StoredObject,
  StoredPart,
} from '../../media/index.ts'
import { asStoreError, isMissing, pathOf, refused, segmentOf } from './object-files.ts'
import { PartFiles } from './part-files.ts'
import { SignedTransfers, signingKey } from './signed-transfers.ts'

/**
 * Opens a folder as a media store; creates it when it does not exist. Several processes of one machine may share it.
 * Rejects with MediaStoreError.
 */
export const openMediaFolder = async (folder: string, now: () => number = Date.now): Promise<MediaStore> => {
  try {
    await mkdir(join(folder, 'parts'), { recursive: true })
    return new MediaFolder(folder, new SignedTransfers(await signingKey(folder), now))
  } catch (error) {
    throw asStoreError(folder, error)
  }
}

/**
 * Stores media as files of a folder. A file is written under a temporary name and then renamed, so a reader sees all
 * of it or nothing.
 */
class MediaFolder implements MediaStore {
  readonly origin = undefined
  readonly local: LocalTransfers
  readonly #folder: string
  readonly #objects: string
  readonly #parts: PartFiles
  readonly #transfers: SignedTransfers

  constructor(folder: string, transfers: SignedTransfers) {
    this.#folder = folder
    this.#objects = join(folder, 'objects')
    this.#parts = new PartFiles(join(folder, 'parts'))
    this.#transfers = transfers
    this.local = {
      put: (query, length, body) => this.#coded(() => this.#put(query, length, body)),
      get: query => this.#coded(() => this.#get(query)),
    }
  }

  check(): Promise<void> {
    return this.#coded(async () => {
      await mkdir(this.#objects, { recursive: true })
    })
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#coded(() => orMissing(readFile(this.#path(key))))
  }

  put(key: string, data: Uint8Array): Promise<void> {
    return this.#coded(async () => {
      const aside = join(this.#folder, 'parts', `aside-${randomBytes(12).toString('hex')}`)
      try {
        const file = await open(aside, 'wx')
        try {
          await file.writeFile(data)
          await file.sync()
        } finally {
          await file.close()
        }
        await this.#place(path => rename(aside, path), key)
      } catch (error) {
        await rm(aside, { force: true })
        throw error
      }
    })
  }

  head(key: string): Promise<StoredObject | undefined> {
    return this.#coded(async () => {
      const found = await orMissing(stat(this.#path(key)))
      return found?.isFile() ? { key, size: found.size, at: found.mtimeMs } : undefined
    })
  }

  async *read(key: string, first?: number): AsyncIterableIterator<Uint8Array> {
    yield* this.#bytes(key, 0, first)
  }

  copy(from: string, to: string): Promise<boolean> {
    return this.#coded(async () => {
      const source = this.#path(from)
      // Objects never change, so two names may refer to one file.
      const copy = async (path: string) => {
        const aside = join(this.#folder, 'parts', `aside-${randomBytes(12).toString('hex')}`)
        await link(source, aside).catch(async (error: unknown) => {
          if (isMissing(error)) throw error
          await copyFile(source, aside)
        })
        await rename(aside, path)
        await rm(aside, { force: true })
      }
      if ((await this.head(from)) === undefined) return false
      return (await orMissing(this.#place(copy, to).then(() => true))) ?? false
    })
  }

  remove(keys: readonly string[]): Promise<void> {
    return this.#coded(async () => {
      for (const key of keys) {
        const path = this.#path(key)
        await orMissing(rm(path))
        // Remove parent folders that became empty.
        for (let above = dirname(path); above.startsWith(`${this.#objects}/`); above = dirname(above))
          if (
            !(await rmdir(above).then(
              () => true,
              () => false,
            ))
          )
            break
      }
    })
  }

  async *list(prefix: string): AsyncIterableIterator<StoredObject> {
    const slash = prefix.lastIndexOf('/')
    const start = slash < 0 ? [] : prefix.slice(0, slash).split('/')
    for await (const key of this.#keys(start)) {
      if (!key.startsWith(prefix)) continue
      const found = await this.head(key)
      if (found !== undefined) yield found
    }
  }

  beginUpload(key: string): Promise<string> {
    return this.#coded(() => this.#parts.begin(key))
  }

  async signPart(
    _key: string,
    upload: string,
    part: number,
    size: number,
    lifeMs: number,
  ): Promise<PartUpload> {
    const url = this.#transfers.sign({ op: 'put', upload, part, size }, lifeMs)
    return { url, method: 'PUT', headers: {} }
  }

  parts(key: string, upload: string): Promise<readonly StoredPart[] | undefined> {
    return this.#coded(() => this.#parts.list(key, upload))
  }

  finishUpload(key: string, upload: string): Promise<void> {
    return this.#coded(async () => {
      const parts = await this.#parts.list(key, upload)
      if (parts !== undefined) await this.#place(path => this.#parts.join(upload, parts, path), key)
    })
  }

  abandonUpload(_key: string, upload: string): Promise<void> {
    return this.#coded(() => this.#parts.abandon(upload))
  }

  async *openUploads(): AsyncIterableIterator<{ key: string; upload: string; at: number }> {
    yield* this.#parts.open()
  }

  async signDownload(key: string, { name, type, inline }: DownloadAs, lifeMs: number): Promise<string> {
    return this.#transfers.sign({ op: 'get', key, name, type, inline }, lifeMs)
  }

  async #put(query: URLSearchParams, length: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    const { upload, part, size } = this.#transfers.verify('put', query)
    if (length !== size) throw refused('BAD_REQUEST', `Expected a part of ${size} bytes.`)
    await this.#parts.take(upload, part, size, body)
  }

  async #get(query: URLSearchParams): Promise<LocalDownload> {
    const { key, name, type, inline } = this.#transfers.verify('get', query)
    const found = await this.head(key)
    if (found === undefined) throw refused('NOT_FOUND')
    const read = (from: number, to: number) => this.#bytes(key, from, to)
    return { size: found.size, name, type, inline, read }
  }

  /** Yields the bytes from `from` (inclusive) to `to` (exclusive). */
  async *#bytes(key: string, from: number, to?: number): AsyncIterableIterator<Uint8Array> {
    if (to !== undefined && to <= from) return
    const end = to === undefined ? {} : { end: to - 1 }
    try {
      yield* createReadStream(this.#path(key), { start: from, ...end, highWaterMark: 256 * 1024 })
    } catch (error) {
      throw asStoreError(this.#folder, error)
    }
  }

  /** Yields the keys below some segments, in byte order. */
  async *#keys(segments: readonly string[]): AsyncIterableIterator<string> {
    const folder = segments.length === 0 ? this.#objects : this.#path(segments.join('/'))
    const entries = await this.#coded(() => orMissing(readdir(folder, { withFileTypes: true })))
    const named = (entries ?? []).flatMap(entry => {
      const name = segmentOf(entry.name)
      // A folder's keys continue with a slash, which sorts before letters and digits but after the minus.
      return name === undefined
        ? []
        : [{ name, isFolder: entry.isDirectory(), order: entry.isDirectory() ? `${name}/` : name }]
    })
    named.sort((a, b) => (a.order < b.order ? -1 : 1))
    for (const { name, isFolder } of named)
      if (isFolder) yield* this.#keys([...segments, name])
      else yield [...segments, name].join('/')
  }

  /** Puts a file in its place. Another process may remove the empty folder in between: then it is retried. */
  async #place(put: (path: string) => Promise<void>, key: string): Promise<void> {
    const path = this.#path(key)
    for (let tries = 0; ; tries++) {
      await mkdir(dirname(path), { recursive: true })
      try {
        await put(path)
        return
      } catch (error) {
        if (!isMissing(error) || tries === 3) throw error
      }
    }
  }

  #path(key: string): string {
    return pathOf(this.#objects, key)
  }

  async #coded<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn()
    } catch (error) {
      throw asStoreError(this.#folder, error)
    }
  }
}

/** Resolves with undefined for a missing file. */
const orMissing = async <T>(promise: Promise<T>): Promise<T | undefined> => {
  try {
    return await promise
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
