import { CodedError } from '../base/coded-error.ts'

/** An object in the store. */
export interface StoredObject {
  readonly key: string
  readonly size: number
  /** Time of the last write, ms since 1970, by the store's clock. */
  readonly at: number
}

/** How a client uploads a part: a signed URL that is valid for a limited time and an exact number of bytes. */
export interface PartUpload {
  /** An absolute URL, or a path on this server. */
  readonly url: string
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}

/** An uploaded part. */
export interface StoredPart {
  /** Part number, from 1. */
  readonly part: number
  readonly size: number
}

/** How a download is presented. */
export interface DownloadAs {
  readonly name: string
  readonly type: string
  /** Whether a browser may display it instead of saving it. */
  readonly inline: boolean
}

/** Transfers for signed URLs that this server handles itself, for a store without a server. */
export interface LocalTransfers {
  /**
   * Receives a part. Rejects with ConfabError: URL_EXPIRED for a URL that is forged, expired or signed for another
   * purpose; BAD_REQUEST for a wrong number of bytes.
   */
  put(query: URLSearchParams, length: number, body: AsyncIterable<Uint8Array>): Promise<void>
  /** Returns the object of a signed URL. Rejects with ConfabError URL_EXPIRED or NOT_FOUND. */
  get(query: URLSearchParams): Promise<LocalDownload>
}

export interface LocalDownload extends DownloadAs {
  readonly size: number
  /** Reads bytes from `from` up to and excluding `to`. */
  read(from: number, to: number): AsyncIterable<Uint8Array>
}

/**
 * Stores media and their metadata as objects. Keys are segments of `A-Z a-z 0-9 _ -` separated by slashes. Reads see
 * all earlier writes and removals. Port; adapters are a folder and S3. Contract: test/contracts/media-store.ts. Every
 * method rejects with MediaStoreError when the store cannot be used.
 */
export interface MediaStore {
  /** Origin of signed URLs; undefined: this server. */
  readonly origin: string | undefined
  readonly local?: LocalTransfers
  /** Rejects with MediaStoreError when the store cannot be reached or denies access. */
  check(): Promise<void>
  /** Reads a whole object. For small objects. */
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, data: Uint8Array): Promise<void>
  head(key: string): Promise<StoredObject | undefined>
  /** Reads all bytes, or the first ones. Rejects when the object does not exist. */
  read(key: string, first?: number): AsyncIterable<Uint8Array>
  /** Returns whether the source object existed. Copies up to 5 GiB. */
  copy(from: string, to: string): Promise<boolean>
  /** Removes objects. A missing object is not an error. */
  remove(keys: readonly string[]): Promise<void>
  /** Lists the objects with a key prefix, in the byte order of their keys. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Starts a multipart upload to a key. Returns its id. */
  beginUpload(key: string, type: string): Promise<string>
  /**
   * Signs the upload of a part. Parts may arrive in any order, and a part may be replaced. All parts but the last
   * have at least 5 MiB.
   */
  signPart(key: string, upload: string, part: number, size: number, lifeMs: number): Promise<PartUpload>
  /** Returns the uploaded parts in order; undefined when the upload does not exist (any more). */
  parts(key: string, upload: string): Promise<readonly StoredPart[] | undefined>
  /** Assembles the object from the uploaded parts, in the order of their numbers. */
  finishUpload(key: string, upload: string): Promise<void>
  abandonUpload(key: string, upload: string): Promise<void>
  /** Lists uploads that were neither finished nor abandoned. */
  openUploads(): AsyncIterable<{ readonly key: string; readonly upload: string; readonly at: number }>
  /** Signs a URL that serves the object, including ranges, to any client for `lifeMs`. */
  signDownload(key: string, as: DownloadAs, lifeMs: number): Promise<string>
}

/** Problem codes of the media store. docs/errors.md lists them for operators. Clients receive UNAVAILABLE. */
export const MediaProblem = {
  /** The bucket does not exist. */
  noBucket: 'MEDIA_BUCKET_MISSING',
  /** The store rejects the credentials, or their permissions do not suffice. */
  denied: 'MEDIA_STORE_DENIED',
  /** The store cannot be reached. */
  unreachable: 'MEDIA_STORE_UNREACHABLE',
  /** No space is left. */
  full: 'MEDIA_STORE_FULL',
  /** The store returned an error. */
  failed: 'MEDIA_STORE_FAILED',
} as const
export type MediaProblem = (typeof MediaProblem)[keyof typeof MediaProblem]

/** The media store cannot be used. The message says what the operator should do. */
export class MediaStoreError extends CodedError<MediaProblem> {}
