import { FairSemaphore } from '../base/fair-semaphore.ts'
import { type Attachment, ConfabError } from '../events/index.ts'
import { currentDescription, type NameAndType } from './described-file.ts'
import {
  type Binding,
  bindingOf,
  bindMedia,
  contentOf,
  hashOfMediaId,
  newMediaId,
  noMedia,
  readJson,
  requireSame,
  type UploadFacts,
  uploadContent,
  uploadFacts,
  writeJson,
} from './media-binding.ts'
import { defaultMediaLimits, type MediaLimits } from './media-limits.ts'
import { type LocalTransfers, type MediaStore, MediaStoreError, type PartUpload } from './media-store.ts'
import { isShown, mayHaveType, servedType, sniffBytes } from './media-type.ts'
import { verifyUpload } from './media-verification.ts'

const partBytes = 8 * 1024 ** 2
/** Parts in one answer. With the long signed URLs of temporary credentials, 16 fit into a frame. */
const partsOfAnswer = 16
/** Uploads of a user that may wait for each one that may be verified. */
const waitingPerVerification = 8

/** A file to upload. Name and type are those of `normalDescription`. */
export interface MediaAnnouncement extends Omit<Attachment, 'mediaId'> {
  /** Id of an upload to continue. */
  readonly mediaId?: string | undefined
  /** A conversation that may already have this content. The caller has checked that the user is a member. */
  readonly c?: string | undefined
}

export interface MediaPart extends PartUpload {
  /** Byte range of the part: from the first up to and excluding the second. */
  readonly range: readonly [from: number, to: number]
}

export interface MediaUpload extends NameAndType {
  readonly mediaId: string
  /** The first 16 missing parts. */
  readonly parts: readonly MediaPart[]
  /** Number of missing parts. */
  readonly missing: number
  /** Whether the upload is verified, so that a message may name it. */
  readonly verified: boolean
}

/** Returns the size of a part, bytes. */
const sizeOfPart = (facts: UploadFacts, part: number): number =>
  Math.min(facts.partBytes, facts.size - (part - 1) * facts.partBytes)

/**
 * Uploads, their verification, and access to media. All state is in the store, so any process can continue an upload.
 * Every method rejects with ConfabError: UNAVAILABLE when the store cannot be used.
 */
export class Media {
  readonly store: MediaStore
  readonly limits: MediaLimits
  /** Transfers of a store without a server of its own. */
  readonly local: LocalTransfers | undefined
  readonly #onProblem: (error: MediaStoreError) => void
  readonly #verifying = new Map<string, Promise<void>>()
  readonly #verifications: FairSemaphore

  constructor(
    store: MediaStore,
    limits: Partial<MediaLimits> = {},
    onProblem: (error: MediaStoreError) => void = () => {},
  ) {
    this.store = store
    this.limits = { ...defaultMediaLimits, ...limits }
    this.#onProblem = onProblem
    const { verifications, userVerifications } = this.limits
    this.#verifications = new FairSemaphore({ total: verifications, share: userVerifications })
    const { local } = store
    this.local =
      local === undefined
        ? undefined
        : {
            put: (query, length, body) => this.#coded(() => local.put(query, length, body)),
            get: query => this.#coded(() => local.get(query)),
          }
  }

  /** Starts an upload, continues one, or finds that the conversation already has the content. */
  announce(user: string, announcement: MediaAnnouncement): Promise<MediaUpload> {
    return this.#coded(async () => {
      this.checkSize(announcement)
      const { mediaId, c, name, type, size, sha256 } = announcement
      if (mediaId !== undefined) {
        const facts = await this.#factsOf(user, mediaId)
        requireSame(announcement, facts)
        return await this.#state(facts)
      }
      const id = newMediaId(sha256)
      const described = { version: 1, mediaId: id, user, name, type, size, sha256, partBytes } as const
      const hasContent = c !== undefined && (await this.#has(c, announcement))
      const facts: UploadFacts = hasContent
        ? { ...described, c, verified: true }
        : {
            ...described,
            upload: await this.store.beginUpload(uploadContent(id), servedType(type)),
            verified: false,
          }
      await writeJson(this.store, uploadFacts(id), facts)
      return await this.#state(facts)
    })
  }

  /** Returns the state of a user's upload. */
  upload(user: string, mediaId: string): Promise<MediaUpload> {
    return this.#coded(async () => await this.#state(await this.#factsOf(user, mediaId)))
  }

  /**
   * Assembles the parts and verifies size, hash and type. Rejects with MEDIA_INCOMPLETE while parts are missing, and
   * with MEDIA_MISMATCH when the content differs from the announcement; the upload is removed then. Idempotent.
   * Calls `onEnded` once for an upload: when it is verified or removed.
   */
  complete(user: string, mediaId: string, onEnded: () => void = () => {}): Promise<void> {
    return this.#coded(async () => {
      const facts = await this.#factsOf(user, mediaId)
      if (facts.verified) return
      const running = this.#verifying.get(mediaId)
      if (running !== undefined) return await running
      if (this.#verifications.waitingOf(user) >= waitingPerVerification * this.limits.userVerifications)
        throw new ConfabError('OVERLOADED', 'Too many uploads of this user are being verified.', {
          retryAfterMs: 1_000,
        })
      const verifying = this.#verifications.run(user, () =>
        verifyUpload(this.store, facts, part => sizeOfPart(facts, part)),
      )
      this.#verifying.set(mediaId, verifying)
      try {
        await verifying
        onEnded()
      } catch (error) {
        if (ConfabError.is(error) && error.code === 'MEDIA_MISMATCH') onEnded()
        throw error
      } finally {
        this.#verifying.delete(mediaId)
      }
    })
  }

  /**
   * Binds the attachments of a message to its conversation, before the message is appended. Each one has to be
   * verified, uploaded by this user, and described as in the message.
   */
  take(c: string, m: string, user: string, attachments: readonly Attachment[]): Promise<void> {
    return this.#coded(async () => {
      await Promise.all(
        attachments.map((attachment, index) => bindMedia(this.store, { c, m, user, attachment, index })),
      )
    })
  }

  /**
   * Returns a URL for media of a conversation. The caller has checked that the user is a member. Rejects with
   * NOT_FOUND.
   */
  download(c: string, mediaId: string): Promise<{ url: string; lifeMs: number }> {
    return this.#coded(async () => {
      const sha256 = hashOfMediaId(mediaId)
      const binding =
        sha256 === undefined ? undefined : await readJson<Binding>(this.store, bindingOf(c, sha256, mediaId))
      if (binding === undefined) throw noMedia('/mediaId')
      const { name, type } = currentDescription(binding)
      const lifeMs = this.limits.downloadUrlMs
      const as = { name, type: servedType(type), inline: isShown(type) }
      return { url: await this.store.signDownload(contentOf(c, binding.sha256), as, lifeMs), lifeMs }
    })
  }

  /** Throws ConfabError BAD_REQUEST or TOO_LARGE for a size that no upload may have. */
  checkSize({ size }: Pick<MediaAnnouncement, 'size'>): void {
    if (size === 0) throw new ConfabError('BAD_REQUEST', 'size: must be 1 or more.', { field: '/size' })
    if (size > this.limits.maxBytes)
      throw new ConfabError('TOO_LARGE', `size: at most ${this.limits.maxBytes} bytes.`, { field: '/size' })
  }

  /** Whether a conversation has this content, and the content may have the type. */
  async #has(c: string, { type, size, sha256 }: MediaAnnouncement): Promise<boolean> {
    const key = contentOf(c, sha256)
    const found = await this.store.head(key)
    if (found?.size !== size) return false
    const chunks: Uint8Array[] = []
    if (isShown(type)) for await (const chunk of this.store.read(key, sniffBytes)) chunks.push(chunk)
    return await mayHaveType(type, Buffer.concat(chunks))
  }

  async #factsOf(user: string, mediaId: string): Promise<UploadFacts> {
    const facts =
      hashOfMediaId(mediaId) === undefined
        ? undefined
        : await readJson<UploadFacts>(this.store, uploadFacts(mediaId))
    if (facts?.user !== user) throw noMedia('/mediaId')
    return facts
  }

  async #state(facts: UploadFacts): Promise<MediaUpload> {
    const { mediaId, upload, verified, size } = facts
    const description = { mediaId, ...currentDescription(facts) }
    if (verified || upload === undefined) return { ...description, parts: [], missing: 0, verified }
    const key = uploadContent(mediaId)
    // When the multipart upload no longer exists, its parts were assembled and only the verification is missing.
    const stored = await this.store.parts(key, upload)
    const uploaded = new Map(stored?.map(({ part, size }) => [part, size]))
    const missing: number[] = []
    for (let part = 1; stored !== undefined && (part - 1) * facts.partBytes < size; part++)
      if (uploaded.get(part) !== sizeOfPart(facts, part)) missing.push(part)
    const parts = missing.slice(0, partsOfAnswer).map(async (part): Promise<MediaPart> => {
      const from = (part - 1) * facts.partBytes
      const bytes = sizeOfPart(facts, part)
      const signed = await this.store.signPart(key, upload, part, bytes, this.limits.uploadUrlMs)
      return { ...signed, range: [from, from + bytes] }
    })
    return { ...description, parts: await Promise.all(parts), missing: missing.length, verified }
  }

  /** Reports store errors to the operator and turns them into UNAVAILABLE for clients. */
  async #coded<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn()
    } catch (error) {
      if (!MediaStoreError.is(error)) throw error
      this.#onProblem(error)
      throw new ConfabError('UNAVAILABLE', 'The media store cannot be reached. Try again.', {
        cause: error,
      })
    }
  }
}
