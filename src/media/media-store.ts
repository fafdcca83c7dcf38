/** An object as a listing has it. */
export interface StoredObject {
  readonly key: string
  readonly size: number
  /** When it was written, ms since 1970, by the store's clock. */
  readonly at: number
}

/** How a client sends the bytes of a part: an address that is good for so long, for so many bytes. */
export interface PartUpload {
  /** Absolute, or a path of this server. */
  readonly url: string
  readonly method: 'PUT'
  readonly headers: Readonly<Record<string, string>>
}

/** A part that has arrived. */
export interface StoredPart {
  /** 1, 2, 3 … */
  readonly part: number
  readonly size: number
}

/** What a download says that it is. */
export interface DownloadAs {
  readonly name: string
  readonly type: string
  /** Whether a browser may show it, rather than save it. */
  readonly inline: boolean
}

/** Bytes of signed URLs that this server carries itself, where the store has no server of its own. */
export interface LocalTransfers {
  /**
   * Takes a part. Rejects with ConfabError: URL_EXPIRED for a URL that is forged, of another use, or too old;
   * BAD_REQUEST for another number of bytes.
   */
  put(query: URLSearchParams, length: number, body: AsyncIterable<Uint8Array>): Promise<void>
  /** What a signed URL gives. Rejects with ConfabError URL_EXPIRED or NOT_FOUND. */
  get(query: URLSearchParams): Promise<LocalDownload>
}

export interface LocalDownload extends DownloadAs {
  readonly size: number
  /** Bytes from `from` up to, not with, `to`. */
  read(from: number, to: number): AsyncIterable<Uint8Array>
}

/**
 * Holds media and the facts about them, as objects by key: segments of `A-Z a-z 0-9 _ -` with slashes between. What
 * was written or removed is seen at once by everybody. Ports: a folder and S3, both pass
 * test/contracts/media-store.ts. Every method rejects with MediaStoreError when the store cannot be used.
 */
export interface MediaStore {
  /** Where signed URLs lead, as an origin; undefined: to this server. */
  readonly origin: string | undefined
  readonly local?: LocalTransfers
  /** Rejects with MediaStoreError when the store is not there or does not let us in. */
  check(): Promise<void>
  /** A small object, whole. */
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, data: Uint8Array): Promise<void>
  head(key: string): Promise<StoredObject | undefined>
  /** The bytes, all or the first ones. Rejects when there is none. */
  read(key: string, first?: number): AsyncIterable<Uint8Array>
  /** Gives whether there was something to copy. Up to 5 GiB. */
  copy(from: string, to: string): Promise<boolean>
  /** What isn't there is removed already. */
  remove(keys: readonly string[]): Promise<void>
  /** The objects whose key starts so, in the order of their keys' bytes. */
  list(prefix: string): AsyncIterable<StoredObject>
  /** Begins an upload in parts to a key; gives its id. */
  beginUpload(key: string, type: string): Promise<string>
  /** Parts come in any order; the same one again replaces it. All but the last have 5 MiB or more. */
  signPart(key: string, upload: string, part: number, size: number, lifeMs: number): Promise<PartUpload>
  /** The parts that have arrived, in order; undefined when there is no such upload (any more). */
  parts(key: string, upload: string): Promise<readonly StoredPart[] | undefined>
  /** Makes the object of the parts that have arrived, in the order of their numbers. */
  finishUpload(key: string, upload: string): Promise<void>
  abandonUpload(key: string, upload: string): Promise<void>
  /** Uploads that were begun, and neither finished nor abandoned. */
  openUploads(): AsyncIterable<{ readonly key: string; readonly upload: string; readonly at: number }>
  /** A URL that gives the object to whoever has it, Range included, for so long. */
  signDownload(key: string, as: DownloadAs, lifeMs: number): Promise<string>
}

/**
 * What can be wrong with the store of media. docs/errors.md lists these for operators; clients are told UNAVAILABLE.
 */
export const MediaProblem = {
  /** The bucket isn't there. */
  noBucket: 'MEDIA_BUCKET_MISSING',
  /** The store does not accept the credentials, or does not let them do what is needed. */
  denied: 'MEDIA_STORE_DENIED',
  /** The store is not reached. */
  unreachable: 'MEDIA_STORE_UNREACHABLE',
  /** There is no space left. */
  full: 'MEDIA_STORE_FULL',
  /** It answered with an error. */
  failed: 'MEDIA_STORE_FAILED',
} as const
export type MediaProblem = (typeof MediaProblem)[keyof typeof MediaProblem]

/** The store of media cannot be used: for the operator, with what to do in its message. */
export class MediaStoreError extends Error {
  readonly code: MediaProblem

  static is = (error: unknown): error is MediaStoreError => error instanceof MediaStoreError

  constructor(code: MediaProblem, message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'MediaStoreError'
    this.code = code
  }
}
