import { randomBytes } from 'node:crypto'
import { type Attachment, ConfabError, checkedId, InvalidNameError, isId } from '../events/index.ts'
import { currentDescription } from './described-file.ts'
import { MediaProblem, type MediaStore, MediaStoreError } from './media-store.ts'

/** Age at which a tombstone expires, ms. The process that wrote it has finished or failed by then. */
const tombstoneMs = 600_000

export interface MediaToBind {
  readonly c: string
  /** The message that names the media. */
  readonly m: string
  readonly user: string
  readonly attachment: Attachment
  readonly index: number
}

/**
 * Binds media to a conversation, before a message that names it is appended: stores the binding, and copies the
 * content unless it is there. First records the message as an intent. If the message is never appended, the sweep
 * finds the intent and removes the binding. A failed call leaves partial results; repeating it is safe.
 */
export const bindMedia = async (store: MediaStore, media: MediaToBind): Promise<void> => {
  const { c, m, user, attachment, index } = media
  const pointer = `/attachments/${index}`
  const { mediaId } = attachment
  const sha256 = hashOfMediaId(mediaId)
  if (sha256 === undefined) throw noMedia(`${pointer}/mediaId`)
  const [facts, bound] = await Promise.all([
    readJson<UploadFacts>(store, uploadFacts(mediaId)),
    readJson<Binding>(store, bindingOf(c, sha256, mediaId)),
  ])
  if (facts === undefined) {
    // The media was sent before, and the sweep has removed the upload.
    if (bound?.user !== user) throw noMedia(`${pointer}/mediaId`)
    requireSame(attachment, bound, pointer)
    return
  }
  if (facts.user !== user || (facts.c !== undefined && facts.c !== c)) throw noMedia(`${pointer}/mediaId`)
  if (!facts.verified)
    throw new ConfabError('MEDIA_INCOMPLETE', 'This upload is not complete. Complete it before sending.', {
      field: `${pointer}/mediaId`,
    })
  requireSame(attachment, facts, pointer)

  await store.put(uploadIntent(mediaId, c, m), new Uint8Array())
  // The sweep writes a tombstone and then looks for intents. This call writes an intent and then looks for
  // tombstones, so at least one of the two sees the other.
  let isThere = false
  for await (const { key } of store.list(uploadFolder(mediaId))) {
    if (isTombstone(key)) throw noMedia(`${pointer}/mediaId`)
    if (key === uploadFacts(mediaId)) isThere = true
  }
  if (!isThere) throw noMedia(`${pointer}/mediaId`)
  const { name, type, size } = attachment
  const binding: Binding = { version: 1, mediaId, user, name, type, size, sha256 }
  // Write the binding also when it exists: the process that wrote it may have failed before the content was copied.
  await writeJson(store, bindingOf(c, sha256, mediaId), binding)
  let hasContent = false
  for await (const { key, at } of store.list(contentFolder(c, sha256))) {
    if (isBinding(key)) break
    if (isTombstone(key) && Date.now() - at < tombstoneMs)
      throw new ConfabError(
        'UNAVAILABLE',
        'This content is being removed from the conversation. Try again.',
        {
          retryAfterMs: 1_000,
        },
      )
    if (key === contentOf(c, sha256)) hasContent = true
  }
  if (!hasContent && !(await store.copy(uploadContent(mediaId), contentOf(c, sha256))))
    throw noMedia(`${pointer}/mediaId`)
}

/** An upload, as stored. */
export interface UploadFacts extends Attachment {
  readonly version: 1
  /** The user who uploads it. No other user may send it. */
  readonly user: string
  /** Id of the multipart upload. Undefined: the content was already in conversation `c`. */
  readonly upload?: string
  readonly partBytes: number
  /** The conversation that already had this content when the upload was announced. */
  readonly c?: string
  /** Whether this server has verified size, hash and type of the content. */
  readonly verified: boolean
}

/** The binding of a media id to a conversation, as stored. */
export interface Binding extends Attachment {
  readonly version: 1
  readonly user: string
}

const decode = (data: Uint8Array | undefined): unknown => {
  if (data === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(data))
  } catch (error) {
    throw new MediaStoreError(MediaProblem.failed, 'an object of the media store is not valid JSON', error)
  }
}

/** Reads upload facts or a binding; undefined when the object does not exist. */
export const readJson = async <T extends { version: 1; mediaId: string }>(
  store: MediaStore,
  key: string,
): Promise<T | undefined> => {
  const value = decode(await store.get(key)) as T | undefined
  if (value === undefined) return undefined
  if (value.version !== 1 || !isId(value.mediaId))
    throw new MediaStoreError(
      MediaProblem.failed,
      `${key} has a format that this version of confab cannot read`,
    )
  return value
}

export const writeJson = (store: MediaStore, key: string, value: object): Promise<void> =>
  store.put(key, new TextEncoder().encode(JSON.stringify(value)))

const described = ['name', 'type', 'size', 'sha256'] as const

/**
 * Throws ConfabError MEDIA_MISMATCH when a description differs from that of the media, which an older version may have
 * stored. `pointer` is the prefix of the field in the error.
 */
export const requireSame = (
  given: Omit<Attachment, 'mediaId'>,
  known: Omit<Attachment, 'mediaId'>,
  pointer = '',
): void => {
  const current = { ...known, ...currentDescription(known) }
  for (const field of described)
    if (given[field] !== current[field])
      throw new ConfabError('MEDIA_MISMATCH', `${field}: differs from the upload of this media.`, {
        field: `${pointer}/${field}`,
      })
}

/** Returns the error for media that does not exist or belongs to another user. Both get the same text. */
export const noMedia = (field: string): ConfabError =>
  new ConfabError('NOT_FOUND', 'This media does not exist, or you are not allowed to see it.', { field })

const requireHash = (sha256: string): string => {
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256
  throw new InvalidNameError('a hash')
}

/**
 * The keys of the media store. An upload has the keys `uploads/<mediaId>/…`: facts, content and intents. A
 * conversation has the keys `c/<conversation>/<sha256>/…`: the content once, and a binding for each media id that was
 * sent. The last segment sorts content before tombstones before bindings. Every function throws InvalidNameError for an
 * id or a hash that is not valid.
 */
export const uploadFolder = (mediaId: string): string => `uploads/${checkedId(mediaId)}/`
export const uploadFacts = (mediaId: string): string => `${uploadFolder(mediaId)}facts`
export const uploadContent = (mediaId: string): string => `${uploadFolder(mediaId)}content`
export const uploadIntent = (mediaId: string, c: string, m: string): string =>
  `${uploadFolder(mediaId)}sent/${checkedId(c)}/${checkedId(m)}`

export const contentFolder = (c: string, sha256: string): string =>
  `c/${checkedId(c)}/${requireHash(sha256)}/`
export const contentOf = (c: string, sha256: string): string => `${contentFolder(c, sha256)}0`
export const bindingOf = (c: string, sha256: string, mediaId: string): string =>
  `${contentFolder(c, sha256)}2-${checkedId(mediaId)}`
export const isBinding = (key: string): boolean => /\/2-[^/]+$/.test(key)

/** Returns the key of a tombstone: a process is about to remove the objects of the folder. */
export const tombstone = (folder: string): string => `${folder}1-${randomBytes(12).toString('hex')}`
export const isTombstone = (key: string): boolean => /\/1-[0-9a-f]{24}$/.test(key)

/** Returns the media id of an upload's key, and the rest of the key; undefined for a key that confab did not write. */
export const partsOfUploadKey = (key: string): { mediaId: string; rest: string } | undefined => {
  const [, mediaId, rest] = /^uploads\/([^/]+)\/(.+)$/.exec(key) ?? []
  return isId(mediaId) && rest !== undefined ? { mediaId, rest } : undefined
}

/** Returns conversation and message of an intent; undefined for a key that confab did not write. */
export const intentOf = (rest: string): { c: string; m: string } | undefined => {
  const [, c, m] = /^sent\/([^/]+)\/([^/]+)$/.exec(rest) ?? []
  return isId(c) && isId(m) ? { c, m } : undefined
}

const randomChars = 21

/** Creates a media id: 43 characters of the content's hash, from which its keys derive, and 21 random characters. */
export const newMediaId = (sha256: string): string =>
  Buffer.from(sha256, 'hex').toString('base64url') +
  randomBytes(16).toString('base64url').slice(0, randomChars)

/** Returns the content hash in a media id; undefined when the id does not have this form. */
export const hashOfMediaId = (mediaId: string): string | undefined => {
  if (!/^[A-Za-z0-9_-]{64}$/.test(mediaId)) return undefined
  const bytes = Buffer.from(mediaId.slice(0, -randomChars), 'base64url')
  return bytes.length === 32 ? bytes.toString('hex') : undefined
}
