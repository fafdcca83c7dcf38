import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import {
  contentDisposition,
  type DownloadAs,
  type MediaStore,
  type PartUpload,
  type StoredObject,
  type StoredPart,
} from '../../media/index.ts'
import type { S3MediaOptions } from './options.ts'
import { clientOf } from './s3-client.ts'
import { asStoreError, isMissing } from './s3-error.ts'

/** Stores media in a bucket of S3 or of a compatible server. Connects on first use; `close` disconnects. */
export class S3Media implements MediaStore {
  readonly origin: string
  readonly #client: S3Client
  readonly #signer: S3Client
  readonly #bucket: string
  readonly #place: string

  constructor(options: S3MediaOptions) {
    const { bucket, endpoint, publicEndpoint = endpoint, region } = options
    this.#client = clientOf(options, endpoint)
    this.#signer = publicEndpoint === endpoint ? this.#client : clientOf(options, publicEndpoint)
    this.#bucket = bucket
    this.#place = endpoint ?? `AWS ${region}`
    this.origin =
      publicEndpoint === undefined
        ? `https://${bucket}.s3.${region}.amazonaws.com`
        : new URL(publicEndpoint).origin
  }

  async check(): Promise<void> {
    // Not HEAD: its answer has no body that says what is missing.
    await this.#coded(() => this.#client.send(new ListObjectsV2Command({ Bucket: this.#bucket, MaxKeys: 1 })))
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return await this.#orMissing(async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(key)))
      return await Body?.transformToByteArray()
    })
  }

  async put(key: string, data: Uint8Array): Promise<void> {
    await this.#coded(() => this.#client.send(new PutObjectCommand({ ...this.#at(key), Body: data })))
  }

  async head(key: string): Promise<StoredObject | undefined> {
    return await this.#orMissing(async () => {
      const { ContentLength = 0, LastModified } = await this.#client.send(
        new HeadObjectCommand(this.#at(key)),
      )
      return { key, size: ContentLength, at: LastModified?.getTime() ?? 0 }
    })
  }

  async *read(key: string, first?: number): AsyncIterableIterator<Uint8Array> {
    const range = first === undefined ? {} : { Range: `bytes=0-${first - 1}` }
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ ...this.#at(key), ...range }))
      if (Body !== undefined) yield* Body as AsyncIterable<Uint8Array>
    } catch (error) {
      throw this.#trouble(error)
    }
  }

  async copy(from: string, to: string): Promise<boolean> {
    const done = await this.#orMissing(() =>
      this.#client.send(new CopyObjectCommand({ ...this.#at(to), CopySource: `${this.#bucket}/${from}` })),
    )
    return done !== undefined
  }

  async remove(keys: readonly string[]): Promise<void> {
    for (const key of keys)
      await this.#orMissing(() => this.#client.send(new DeleteObjectCommand(this.#at(key))))
  }

  async *list(prefix: string): AsyncIterableIterator<StoredObject> {
    try {
      for await (const { Contents = [] } of paginateListObjectsV2(
        { client: this.#client },
        { Bucket: this.#bucket, Prefix: prefix },
      ))
        for (const { Key = '', Size = 0, LastModified } of Contents)
          yield { key: Key, size: Size, at: LastModified?.getTime() ?? 0 }
    } catch (error) {
      throw this.#trouble(error)
    }
  }

  async beginUpload(key: string, type: string): Promise<string> {
    const { UploadId } = await this.#coded(() =>
      this.#client.send(new CreateMultipartUploadCommand({ ...this.#at(key), ContentType: type })),
    )
    if (UploadId === undefined) throw this.#trouble(new Error('no upload id'))
    return UploadId
  }

  async signPart(
    key: string,
    upload: string,
    part: number,
    size: number,
    lifeMs: number,
  ): Promise<PartUpload> {
    const command = new UploadPartCommand({
      ...this.#at(key),
      UploadId: upload,
      PartNumber: part,
      // Signed, so the URL accepts only a part of this size.
      ContentLength: size,
    })
    return { url: await this.#sign(command, lifeMs), method: 'PUT', headers: {} }
  }

  async parts(key: string, upload: string): Promise<readonly StoredPart[] | undefined> {
    const parts = await this.#partsOf(key, upload)
    return parts?.map(({ part, size }) => ({ part, size }))
  }

  async finishUpload(key: string, upload: string): Promise<void> {
    const parts = (await this.#partsOf(key, upload)) ?? []
    await this.#coded(() =>
      this.#client.send(
        new CompleteMultipartUploadCommand({
          ...this.#at(key),
          UploadId: upload,
          MultipartUpload: { Parts: parts.map(({ part, etag }) => ({ PartNumber: part, ETag: etag })) },
        }),
      ),
    )
  }

  async abandonUpload(key: string, upload: string): Promise<void> {
    await this.#orMissing(() =>
      this.#client.send(new AbortMultipartUploadCommand({ ...this.#at(key), UploadId: upload })),
    )
  }

  async *openUploads(): AsyncIterableIterator<{ key: string; upload: string; at: number }> {
    try {
      yield* openUploadsOf(this.#client, this.#bucket)
    } catch (error) {
      throw this.#trouble(error)
    }
  }

  async signDownload(key: string, as: DownloadAs, lifeMs: number): Promise<string> {
    const command = new GetObjectCommand({
      ...this.#at(key),
      ResponseContentType: as.type,
      ResponseContentDisposition: contentDisposition(as),
      ResponseCacheControl: 'private, max-age=31536000, immutable',
    })
    return await this.#sign(command, lifeMs)
  }

  close(): void {
    this.#client.destroy()
    this.#signer.destroy()
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: key }
  }

  #sign(command: GetObjectCommand | UploadPartCommand, lifeMs: number): Promise<string> {
    return this.#coded(() =>
      getSignedUrl(this.#signer, command as GetObjectCommand, { expiresIn: Math.ceil(lifeMs / 1000) }),
    )
  }

  #partsOf(key: string, upload: string): Promise<ListedPart[] | undefined> {
    return this.#orMissing(() => partsOf(this.#client, { ...this.#at(key), UploadId: upload }))
  }

  /** Resolves with undefined for a missing object. */
  async #orMissing<T>(fn: () => Promise<T>): Promise<T | undefined> {
    try {
      return await fn()
    } catch (error) {
      if (isMissing(error)) return undefined
      throw this.#trouble(error)
    }
  }

  async #coded<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn()
    } catch (error) {
      throw this.#trouble(error)
    }
  }

  #trouble(error: unknown): Error {
    return asStoreError(this.#place, this.#bucket, error)
  }
}

/** Yields confab's unfinished multipart uploads. (The SDK has no paginator for them.) */
export async function* openUploadsOf(
  client: S3Client,
  bucket: string,
): AsyncIterableIterator<{ key: string; upload: string; at: number }> {
  for (let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}; ; ) {
    const page = await client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'uploads/', ...markers }),
    )
    for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
      yield { key: Key, upload: UploadId, at: Initiated?.getTime() ?? Date.now() }
    if (page.IsTruncated !== true || page.NextKeyMarker === undefined) return
    const { NextKeyMarker, NextUploadIdMarker } = page
    markers = {
      KeyMarker: NextKeyMarker,
      ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
    }
  }
}

export interface ListedPart {
  readonly part: number
  readonly size: number
  readonly etag: string | undefined
}

/**
 * Returns the parts of an upload. (The SDK's paginator never ends where a server sends a next marker on the last
 * page.)
 */
export const partsOf = async (
  client: S3Client,
  upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
): Promise<ListedPart[]> => {
  const parts: ListedPart[] = []
  for (let marker: { PartNumberMarker?: string } = {}; ; ) {
    const page = await client.send(new ListPartsCommand({ ...upload, ...marker }))
    for (const { PartNumber = 0, Size = 0, ETag } of page.Parts ?? [])
      parts.push({ part: PartNumber, size: Size, etag: ETag })
    if (page.IsTruncated !== true || page.NextPartNumberMarker === undefined)
      return parts.sort((a, b) => a.part - b.part)
    marker = { PartNumberMarker: page.NextPartNumberMarker }
  }
}
