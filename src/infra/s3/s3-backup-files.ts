import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { inFolder } from '../../base/backup-error.ts'
import {
  type BackupFiles,
  type LocalFile,
  manifestFile,
  type WrittenFile,
  writeChunks,
} from '../../base/backup-files.ts'
import { privateFileMode } from '../../base/private-files.ts'
import { defaultS3Options, type S3MediaOptions } from './options.ts'
import { clientOf } from './s3-client.ts'
import { asStoreError, isMissing } from './s3-error.ts'

const MiB = 1024 ** 2
/** Bytes of a part of an upload. S3 takes 10,000 parts of at least 5 MiB. */
const smallestPart = 16 * MiB
const mostParts = 9_000

export interface S3BackupOptions extends Omit<S3MediaOptions, 'publicEndpoint'> {
  /** The start of the keys, without a slash at its end; '' for none. */
  readonly prefix: string
}

/**
 * Backups in a bucket of S3 or of a compatible server. Files pass through the folder of temporary files: the NATS
 * server gives a transfer up that waits for 5 s.
 */
export class S3BackupFiles implements BackupFiles {
  readonly place: string
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #server: string

  constructor(options: S3BackupOptions) {
    const { bucket, prefix, endpoint, region = defaultS3Options.region } = options
    this.#client = clientOf(options, endpoint)
    this.#bucket = bucket
    this.#prefix = prefix === '' ? '' : `${prefix}/`
    this.#server = endpoint ?? `AWS ${region}`
    this.place = `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}`
  }

  write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<WrittenFile> {
    return this.#coded(async () => {
      const path = temporaryPath()
      try {
        const written = await inFolder(tmpdir(), () => writeChunks(path, chunks))
        await this.#upload(name, path, written.size)
        return written
      } finally {
        await rm(path, { force: true })
      }
    })
  }

  copy(from: string, to: string): Promise<boolean> {
    return this.#coded(async () => {
      const source = `${this.#bucket}/${this.#key(from)}`.split('/').map(encodeURIComponent).join('/')
      try {
        await this.#client.send(new CopyObjectCommand({ ...this.#at(to), CopySource: source }))
        return true
      } catch (error) {
        // S3 copies no object of more than 5 GiB in one request.
        if (isMissing(error) || isBadRequest(error)) return false
        throw error
      }
    })
  }

  read(name: string): Promise<Uint8Array | undefined> {
    return this.#orMissing(async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(name)))
      if (Body === undefined) return undefined
      const chunks: Uint8Array[] = []
      for await (const chunk of this.#contentOf(Body as Readable)) chunks.push(chunk)
      return Buffer.concat(chunks)
    })
  }

  fetch(name: string): Promise<LocalFile | undefined> {
    return this.#orMissing(async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(name)))
      const path = temporaryPath()
      try {
        const content = this.#contentOf(Body as Readable)
        await inFolder(tmpdir(), () => pipeline(content, createWriteStream(path, { mode: privateFileMode })))
      } catch (error) {
        await rm(path, { force: true })
        throw error
      }
      return { path, release: () => rm(path, { force: true }) }
    })
  }

  backups(): Promise<string[]> {
    return this.#coded(async () => {
      const found: string[] = []
      for await (const { CommonPrefixes = [] } of paginateListObjectsV2(
        { client: this.#client },
        { Bucket: this.#bucket, Prefix: this.#prefix, Delimiter: '/' },
      ))
        for (const { Prefix = '' } of CommonPrefixes) found.push(Prefix.slice(this.#prefix.length, -1))
      return found.sort()
    })
  }

  remove(backup: string): Promise<void> {
    return this.#coded(async () => {
      await this.#client.send(new DeleteObjectCommand(this.#at(`${backup}/${manifestFile}`)))
      for await (const { Contents = [] } of paginateListObjectsV2(
        { client: this.#client },
        { Bucket: this.#bucket, Prefix: this.#key(`${backup}/`) },
      ))
        for (const { Key } of Contents)
          await this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key }))
    })
  }

  close(): void {
    this.#client.destroy()
  }

  async #upload(name: string, path: string, size: number): Promise<void> {
    const handle = await inFolder(tmpdir(), () => open(path))
    try {
      const partSize = Math.max(smallestPart, Math.ceil(size / mostParts))
      const partAt = async (at: number): Promise<Uint8Array> => {
        const part = Buffer.alloc(Math.min(partSize, size - at))
        await inFolder(tmpdir(), () => handle.read(part, 0, part.length, at))
        return part
      }
      if (size <= partSize)
        await this.#client.send(new PutObjectCommand({ ...this.#at(name), Body: await partAt(0) }))
      else await this.#uploadParts(name, size, partSize, partAt)
    } finally {
      await handle.close()
    }
  }

  async #uploadParts(
    name: string,
    size: number,
    partSize: number,
    partAt: (at: number) => Promise<Uint8Array>,
  ): Promise<void> {
    const { UploadId } = await this.#client.send(new CreateMultipartUploadCommand(this.#at(name)))
    const upload = { ...this.#at(name), UploadId }
    try {
      const Parts: { PartNumber: number; ETag: string | undefined }[] = []
      for (let at = 0; at < size; at += partSize) {
        const PartNumber = Parts.length + 1
        const { ETag } = await this.#client.send(
          new UploadPartCommand({ ...upload, PartNumber, Body: await partAt(at) }),
        )
        Parts.push({ PartNumber, ETag })
      }
      await this.#client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }))
    } catch (error) {
      await this.#client.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
      throw error
    }
  }

  #key(name: string): string {
    return `${this.#prefix}${name}`
  }

  #at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#key(name) }
  }

  #orMissing<T>(run: () => Promise<T>): Promise<T | undefined> {
    return this.#coded(async () => {
      try {
        return await run()
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    })
  }

  /** Yields the content of an object. Throws MediaStoreError when the connection is lost meanwhile. */
  async *#contentOf(body: Readable): AsyncIterable<Uint8Array> {
    try {
      yield* body
    } catch (error) {
      throw asStoreError(this.#server, this.#bucket, error)
    }
  }

  /** Errors of the snapshot that is written, and those of the folder of temporary files, stay as they are. */
  async #coded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      const isOfS3 =
        (error as { $metadata?: unknown } | undefined)?.$metadata !== undefined ||
        (error as NodeJS.ErrnoException | undefined)?.syscall !== undefined ||
        (error as Error | undefined)?.name === 'CredentialsProviderError'
      throw isOfS3 ? asStoreError(this.#server, this.#bucket, error) : error
    }
  }
}

const isBadRequest = (error: unknown): boolean =>
  (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 400

const temporaryPath = (): string => join(tmpdir(), `confab-backup-${randomBytes(8).toString('hex')}`)
