import { type Attachment, ConfabError } from '../events/index.ts'
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
import { type LocalTransfers, type MediaStore, MediaStoreError, type PartUpload } from './media-store.ts'
import { contradicts, isFileName, isMediaType, isShown, sniffBytes } from './media-type.ts'
import { verifyUpload } from './media-verification.ts'

const partBytes = 8 * 1024 ** 2
/** Parts of one answer, so that with the long signed URLs of temporary credentials it fits a frame. */
const partsOfAnswer = 16

export interface MediaAnnouncement extends Omit<Attachment, 'mediaId'> {
  /** To go on with an upload. */
  readonly mediaId?: string | undefined
  /** A conversation that may have this content already. Whoever calls has made sure that the user is a member. */
  readonly c?: string | undefined
}

export interface MediaPart extends PartUpload {
  /** The bytes that go there: from the first up to, not with, the second. */
  readonly range: readonly [from: number, to: number]
}

export interface MediaUpload {
  readonly mediaId: string
  /** Parts that are missing: the first 16 of them. */
  readonly parts: readonly MediaPart[]
  /** How many are missing in all. */
  readonly missing: number
  /** Whether it may be sent. */
  readonly verified: boolean
}

/** Bytes of the part from `from` on. */
const sizeOfPart = (facts: UploadFacts, part: number): number =>
  Math.min(facts.partBytes, facts.size - (part - 1) * facts.partBytes)

/**
 * Uploads, their verification, and what may be sent and fetched. All of it is kept in the store, so that any process
 * can go on with what another began. Every method rejects with ConfabError, UNAVAILABLE when the store cannot be
 * used.
 */
export class Media {
  readonly store: MediaStore
  readonly limits: MediaLimits
  /** The store's, where it has no server of its own. */
  readonly local: LocalTransfers | undefined
  readonly #onProblem: (error: MediaStoreError) => void
  readonly #verifying = new Map<string, Promise<void>>()

  constructor(
    store: MediaStore,
    limits: Partial<MediaLimits> = {},
    onProblem: (error: MediaStoreError) => void = () => {},
  ) {
    this.store = store
    this.limits = { ...defaultMediaLimits, ...limits }
    this.#onProblem = onProblem
    const { local } = store
    this.local =
      local === undefined
        ? undefined
        : {
            put: (query, length, body) => this.#coded(() => local.put(query, length, body)),
            get: query => this.#coded(() => local.get(query)),
          }
  }

  /** Begins an upload, goes on with one, or finds that the conversation has the content already. */
  announce(user: string, announcement: MediaAnnouncement): Promise<MediaUpload> {
    return this.#coded(async () => {
      this.#check(announcement)
      const { mediaId, c, name, type, size, sha256 } = announcement
      if (mediaId !== undefined) {
        const facts = await this.#factsOf(user, mediaId)
        requireSame(announcement, facts)
        return await this.#state(facts)
      }
      const id = newMediaId(sha256)
      const described = { version: 1, mediaId: id, user, name, type, size, sha256, partBytes } as const
      const isThere = c !== undefined && (await this.#has(c, announcement))
      const facts: UploadFacts = isThere
        ? { ...described, c, verified: true }
        : { ...described, upload: await this.store.beginUpload(uploadContent(id), type), verified: false }
      await writeJson(this.store, uploadFacts(id), facts)
      return await this.#state(facts)
    })
  }

  /** How far an upload of the user's has come. */
  upload(user: string, mediaId: string): Promise<MediaUpload> {
    return this.#coded(async () => await this.#state(await this.#factsOf(user, mediaId)))
  }

  /**
   * Puts the parts together and looks at what has come: size, hash and type have to be what was announced, else
   * MEDIA_MISMATCH, and the upload is gone. MEDIA_INCOMPLETE while parts are missing. Again, it is as the first time.
   */
  complete(user: string, mediaId: string): Promise<void> {
    return this.#coded(async () => {
      const facts = await this.#factsOf(user, mediaId)
      if (facts.verified) return
      const underWay = this.#verifying.get(mediaId)
      if (underWay !== undefined) return await underWay
      if (this.#verifying.size >= this.limits.verifications)
        throw new ConfabError('OVERLOADED', 'Too many uploads are being verified.', { retryAfterMs: 1_000 })
      const verifying = verifyUpload(this.store, facts, part => sizeOfPart(facts, part))
      this.#verifying.set(mediaId, verifying)
      try {
        await verifying
      } finally {
        this.#verifying.delete(mediaId)
      }
    })
  }

  /**
   * Before a message with attachments is appended: each has to be verified, of this user, and as the message says.
   * The conversation has them then.
   */
  take(c: string, m: string, user: string, attachments: readonly Attachment[]): Promise<void> {
    return this.#coded(async () => {
      await Promise.all(
        attachments.map((attachment, index) => bindMedia(this.store, { c, m, user, attachment, index })),
      )
    })
  }

  /**
   * A URL for what a conversation has. Whoever calls has made sure that the user is a member. Rejects with NOT_FOUND
   * when it hasn't got it.
   */
  download(c: string, mediaId: string): Promise<{ url: string; lifeMs: number }> {
    return this.#coded(async () => {
      const sha256 = hashOfMediaId(mediaId)
      const binding =
        sha256 === undefined ? undefined : await readJson<Binding>(this.store, bindingOf(c, sha256, mediaId))
      if (binding === undefined) throw noMedia('/mediaId')
      const { name, type } = binding
      const lifeMs = this.limits.downloadUrlMs
      const as = { name, type, inline: isShown(type) }
      return { url: await this.store.signDownload(contentOf(c, binding.sha256), as, lifeMs), lifeMs }
    })
  }

  #check({ name, type, size }: MediaAnnouncement): void {
    const bad = (field: string, message: string) => new ConfabError('BAD_REQUEST', message, { field })
    if (!isFileName(name))
      throw bad(
        '/name',
        'name: expected the name of a file, without folders, controls or invisible characters.',
      )
    if (!isMediaType(type))
      throw bad('/type', 'type: expected a media type in lower case without parameters, such as image/png.')
    if (size === 0) throw bad('/size', 'size: there is nothing in it.')
    if (size > this.limits.maxBytes)
      throw new ConfabError('TOO_LARGE', `size: at most ${this.limits.maxBytes} bytes.`, { field: '/size' })
  }

  /** Whether a conversation has this content. */
  async #has(c: string, { type, size, sha256 }: MediaAnnouncement): Promise<boolean> {
    const key = contentOf(c, sha256)
    const found = await this.store.head(key)
    if (found?.size !== size) return false
    const chunks: Uint8Array[] = []
    for await (const chunk of this.store.read(key, sniffBytes)) chunks.push(chunk)
    return !contradicts(type, Buffer.concat(chunks))
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
    if (verified || upload === undefined) return { mediaId, parts: [], missing: 0, verified }
    const key = uploadContent(mediaId)
    // Without the upload its parts have been put together: what is missing is the verification.
    const stored = await this.store.parts(key, upload)
    const there = new Map(stored?.map(({ part, size }) => [part, size]))
    const missing: number[] = []
    for (let part = 1; stored !== undefined && (part - 1) * facts.partBytes < size; part++)
      if (there.get(part) !== sizeOfPart(facts, part)) missing.push(part)
    const parts = missing.slice(0, partsOfAnswer).map(async (part): Promise<MediaPart> => {
      const from = (part - 1) * facts.partBytes
      const bytes = sizeOfPart(facts, part)
      const signed = await this.store.signPart(key, upload, part, bytes, this.limits.uploadUrlMs)
      return { ...signed, range: [from, from + bytes] }
    })
    return { mediaId, parts: await Promise.all(parts), missing: missing.length, verified }
  }

  /** What is wrong with the store is the operator's; a client may try again. */
  async #coded<T>(fn: () => Promise<T>): Promise<T> {
    try {
      return await fn()
    } catch (error) {
      if (!MediaStoreError.is(error)) throw error
      this.#onProblem(error)
      throw new ConfabError('UNAVAILABLE', 'The store of media cannot be used at the moment; try again.', {
        cause: error,
      })
    }
  }
}

/** The bounds of media. */
export interface MediaLimits {
  /** Bytes of one media, at most. */
  readonly maxBytes: number
  /** How long the URLs of parts are good, ms. */
  readonly uploadUrlMs: number
  /** How long a download's URL is good, ms. */
  readonly downloadUrlMs: number
  /** Uploads that are verified at the same time; more are OVERLOADED. */
  readonly verifications: number
  /** How long the answer to a completed upload may take; then it says that the verification goes on, ms. */
  readonly verifyWaitMs: number
  /** How long what was uploaded and never sent is kept, ms. */
  readonly keepMs: number
  /** How often what is to go is looked for, ms. */
  readonly sweepEveryMs: number
}

export const defaultMediaLimits: MediaLimits = {
  maxBytes: 100 * 1024 ** 2,
  uploadUrlMs: 3_600_000,
  downloadUrlMs: 300_000,
  verifications: 8,
  verifyWaitMs: 5_000,
  keepMs: 86_400_000,
  sweepEveryMs: 600_000,
}

/** What S3 copies at once is the most that `maxBytes` may be. */
export const mostMediaBytes = 5 * 1024 ** 3
