import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { privateFileMode } from './private-files.ts'

/** The file that makes a folder a backup. It is written last and removed first. */
export const manifestFile = 'manifest.json'

/** Size and checksum of a file. */
export interface WrittenFile {
  readonly size: number
  /** Of the bytes as they are stored, hexadecimal. */
  readonly sha256: string
}

/** A local copy of a file. */
export interface LocalFile {
  readonly path: string
  release(): Promise<void>
}

/**
 * The place of backups. Names have the form `<backup>/<file>`. A file is there completely or not at all. All methods
 * reject with a coded error when the place cannot be used.
 */
export interface BackupFiles {
  /** The place as messages name it. */
  readonly place: string
  write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<WrittenFile>
  /** Makes a file with the content of another one. Resolves with false where only a transfer could make it. */
  copy(from: string, to: string): Promise<boolean>
  /** Resolves with undefined when there is no such file. */
  read(name: string): Promise<Uint8Array | undefined>
  /** Resolves with undefined when there is no such file. */
  fetch(name: string): Promise<LocalFile | undefined>
  /** Returns the names of the backups, including unfinished ones, in ascending order. */
  backups(): Promise<string[]>
  /** Removes a backup with all files, the manifest first: what a failure leaves is an unfinished backup. */
  remove(backup: string): Promise<void>
}

/** Writes chunks to a new file that only this user can read, and forces it to disk. */
export const writeChunks = async (path: string, chunks: AsyncIterable<Uint8Array>): Promise<WrittenFile> => {
  const hash = createHash('sha256')
  let size = 0
  const count = new Transform({
    transform: (chunk: Buffer, _, done) => {
      size += chunk.length
      hash.update(chunk)
      done(null, chunk)
    },
  })
  await pipeline(chunks, count, createWriteStream(path, { mode: privateFileMode, flush: true }))
  return { size, sha256: hash.digest('hex') }
}

/** Returns size and checksum of a file. */
export const measureFile = async (path: string): Promise<WrittenFile> => {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(path)) {
    size += (chunk as Buffer).length
    hash.update(chunk as Buffer)
  }
  return { size, sha256: hash.digest('hex') }
}
