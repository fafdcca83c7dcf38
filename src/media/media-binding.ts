import { randomBytes } from 'node:crypto'
import { type Attachment, ConfabError, isId } from '../events/index.ts'
import { MediaProblem, type MediaStore, MediaStoreError } from './media-store.ts'

/** After so long whoever left a tombstone has ended before what it was about to do, ms. */
const tombstoneMs = 600_000

export interface MediaToBind {
  readonly c: string
  /** The message that it goes with. */
  readonly m: string
  readonly user: string
  readonly attachment: Attachment
  readonly index: number
}

/**
 * Gives a conversation a media, so that a message that names it may be appended: its content, unless that is there,
 * and the binding. First it is noted which message that will be: should that never be appended, the sweep finds the
 * note and takes the binding back. Nothing here is undone when a later step fails; all of it may be done again.
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
    // Sent before, so that the upload has been cleared away.
    if (bound?.user !== user) throw noMedia(`${pointer}/mediaId`)
    requireSame(attachment, bound, pointer)
    return
  }
  if (facts.user !== user || (facts.c !== undefined && facts.c !== c)) throw noMedia(`${pointer}/mediaId`)
  if (!facts.verified)
    throw new ConfabError('MEDIA_INCOMPLETE', 'This upload has not been completed.', {
      field: `${pointer}/mediaId`,
    })
  requireSame(attachment, facts, pointer)

  await store.put(uploadIntent(mediaId, c, m), new Uint8Array())
  // Whoever sweeps leaves a tombstone, then looks for notes like ours: one of us sees the other.
  let isThere = false
  for await (const { key } of store.list(uploadFolder(mediaId))) {
    if (isTombstone(key)) throw noMedia(`${pointer}/mediaId`)
    if (key === uploadFacts(mediaId)) isThere = true
  }
  if (!isThere) throw noMedia(`${pointer}/mediaId`)
  const { name, type, size } = facts
  const binding: Binding = { version: 1, mediaId, user, name, type, size, sha256 }
  // Also when there is one: whoever wrote it may have died before the content was there.
  await writeJson(store, bindingOf(c, sha256, mediaId), binding)
  let hasContent = false
  for await (const { key, at } of store.list(contentFolder(c, sha256))) {
    if (isBinding(key)) break
    if (isTombstone(key) && Date.now() - at < tombstoneMs)
      throw new ConfabError(
        'UNAVAILABLE',
        'This content is being removed from the conversation; try again.',
        {
          retryAfterMs: 1_000,
        },
      )
    if (key === contentOf(c, sha256)) hasContent = true
  }
  if (!hasContent && !(await store.copy(uploadContent(mediaId), contentOf(c, sha256))))
    throw noMedia(`${pointer}/mediaId`)
}

/** What is known of an upload, as it is kept in the store. */
export interface UploadFacts extends Attachment {
  readonly version: 1
  /** Who uploads it; nobody else may send it. */
  readonly user: string
  /** The store's upload in parts. Without one the content is that of `c` already. */
  readonly upload?: string
  readonly partBytes: number
  /** The conversation that had this content when it was asked. */
  readonly c?: string
  /** Size, hash and type are what was announced: looked at here, not believed. */
  readonly verified: boolean
}

/** That a conversation has a media id, as it is kept in the store. */
export interface Binding extends Attachment {
  readonly version: 1
  readonly user: string
}

const decode = (data: Uint8Array | undefined): unknown => {
  if (data === undefined) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(data))
  } catch (error) {
    throw new MediaStoreError(
      MediaProblem.failed,
      'an object of the media store is not as confab wrote it',
      error,
    )
  }
}

/** Facts or a binding; undefined when there are none. */
export const readJson = async <T extends { version: 1; mediaId: string }>(
  store: MediaStore,
  key: string,
): Promise<T | undefined> => {
  const value = decode(await store.get(key)) as T | undefined
  if (value === undefined) return undefined
  if (value.version !== 1 || !isId(value.mediaId))
    throw new MediaStoreError(MediaProblem.failed, `${key} was written by another version of confab`)
  return value
}

export const writeJson = (store: MediaStore, key: string, value: object): Promise<void> =>
  store.put(key, new TextEncoder().encode(JSON.stringify(value)))

const described = ['name', 'type', 'size', 'sha256'] as const

/**
 * Throws ConfabError MEDIA_MISMATCH when a description is not that of the media. `pointer` is what the field's name
 * goes after.
 */
export const requireSame = (
  given: Omit<Attachment, 'mediaId'>,
  known: Omit<Attachment, 'mediaId'>,
  pointer = '',
): void => {
  for (const field of described)
    if (given[field] !== known[field])
      throw new ConfabError('MEDIA_MISMATCH', `${field}: not as this media was uploaded.`, {
        field: `${pointer}/${field}`,
      })
}

/** Same words whether there is no such media or it is another's. */
export const noMedia = (field: string): ConfabError =>
  new ConfabError('NOT_FOUND', 'There is no such media, or none that you may know of.', { field })

/**
 * Where media and the facts about them are kept. An upload is `uploads/<mediaId>/…`: its facts, its content, and
 * which messages it was to go with. What a conversation has is `c/<conversation>/<sha256>/…`: the content, once, and
 * a binding for each media id that was sent. The first characters of the last segment order them: content, then
 * tombstones, then bindings.
 */
export const uploadFolder = (mediaId: string): string => `uploads/${mediaId}/`
export const uploadFacts = (mediaId: string): string => `uploads/${mediaId}/facts`
export const uploadContent = (mediaId: string): string => `uploads/${mediaId}/content`
export const uploadIntent = (mediaId: string, c: string, m: string): string =>
  `uploads/${mediaId}/sent/${c}/${m}`

export const contentFolder = (c: string, sha256: string): string => `c/${c}/${sha256}/`
export const contentOf = (c: string, sha256: string): string => `c/${c}/${sha256}/0`
export const bindingOf = (c: string, sha256: string, mediaId: string): string =>
  `c/${c}/${sha256}/2-${mediaId}`
export const isBinding = (key: string): boolean => /\/2-[^/]+$/.test(key)

/** Says that somebody is about to remove what is in the folder. */
export const tombstone = (folder: string): string => `${folder}1-${randomBytes(12).toString('hex')}`
export const isTombstone = (key: string): boolean => /\/1-[0-9a-f]{24}$/.test(key)

/** The media id and what of it an upload's key is for. */
export const partsOfUploadKey = (key: string): { mediaId: string; rest: string } | undefined => {
  const [, mediaId, rest] = /^uploads\/([^/]+)\/(.+)$/.exec(key) ?? []
  return mediaId === undefined || rest === undefined ? undefined : { mediaId, rest }
}

/** The conversation and message of an intent's `rest`. */
export const intentOf = (rest: string): { c: string; m: string } | undefined => {
  const [, c, m] = /^sent\/([^/]+)\/([^/]+)$/.exec(rest) ?? []
  return c === undefined || m === undefined ? undefined : { c, m }
}

const randomChars = 21

/**
 * A media id: 43 characters of the content's hash, so that its place follows from it, and 21 that make it one of a
 * kind.
 */
export const newMediaId = (sha256: string): string =>
  Buffer.from(sha256, 'hex').toString('base64url') +
  randomBytes(16).toString('base64url').slice(0, randomChars)

/** The hash in a media id; undefined when it is none of ours. */
export const hashOfMediaId = (mediaId: string): string | undefined => {
  if (!/^[A-Za-z0-9_-]{64}$/.test(mediaId)) return undefined
  const bytes = Buffer.from(mediaId.slice(0, -randomChars), 'base64url')
  return bytes.length === 32 ? bytes.toString('hex') : undefined
}
