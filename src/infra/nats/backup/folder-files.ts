import { copyFile, link, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inFolder } from '../../../base/backup-error.ts'
import {
  type BackupFiles,
  type LocalFile,
  manifestFile,
  type WrittenFile,
  writeChunks,
} from '../../../base/backup-files.ts'
import { makePrivateFolder } from '../../../base/private-files.ts'

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code

/** Backups in a folder: a folder for each. */
export class FolderFiles implements BackupFiles {
  readonly place: string

  constructor(folder: string) {
    this.place = folder
  }

  write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<WrittenFile> {
    return this.#coded(async () => {
      const path = join(this.place, name)
      const folder = dirname(path)
      makePrivateFolder(folder)
      try {
        const written = await writeChunks(`${path}.new`, chunks)
        await rename(`${path}.new`, path)
        await this.#sync(folder)
        return written
      } catch (error) {
        await rm(`${path}.new`, { force: true })
        throw error
      }
    })
  }

  async copy(from: string, to: string): Promise<boolean> {
    const isCopied = await this.#orMissing(async () => {
      const [source, target] = [join(this.place, from), join(this.place, to)]
      await stat(source)
      makePrivateFolder(dirname(target))
      try {
        await link(source, target)
      } catch {
        // Not every file system has hard links.
        await copyFile(source, target)
      }
      await this.#sync(dirname(target))
      return true
    })
    return isCopied ?? false
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#orMissing(() => readFile(join(this.place, name)))
  }

  fetch(name: string): Promise<LocalFile | undefined> {
    return this.#orMissing(async () => {
      const path = join(this.place, name)
      await stat(path)
      return { path, release: async () => {} }
    })
  }

  async backups(): Promise<string[]> {
    const entries = await this.#orMissing(() => readdir(this.place, { withFileTypes: true }))
    return (entries ?? [])
      .filter(entry => entry.isDirectory())
      .map(({ name }) => name)
      .sort()
  }

  remove(backup: string): Promise<void> {
    return this.#coded(async () => {
      await rm(join(this.place, backup, manifestFile), { force: true })
      await rm(join(this.place, backup), { recursive: true, force: true })
    })
  }

  /** Forces the entries of a folder to disk. */
  async #sync(folder: string): Promise<void> {
    const handle = await open(folder)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  #orMissing<T>(run: () => Promise<T>): Promise<T | undefined> {
    return this.#coded(async () => {
      try {
        return await run()
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      }
    })
  }

  #coded<T>(run: () => Promise<T>): Promise<T> {
    return inFolder(this.place, run)
  }
}
