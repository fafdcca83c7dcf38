import { type Attachment, ConfabError, isId } from '../events/index.ts'
import { MediaProblem, type MediaStore, MediaStoreError } from './media-store.ts'

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

/** Throws ConfabError MEDIA_MISMATCH when a description is not that of the media. `pointer` is what the field's name goes after. */
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
