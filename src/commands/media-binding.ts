import { type Attachment, ConfabError } from '../events/index.ts'
import { type Binding, noMedia, readJson, requireSame, type UploadFacts, writeJson } from './media-facts.ts'
import {
  bindingOf,
  contentFolder,
  contentOf,
  hashOfMediaId,
  isBinding,
  isTombstone,
  uploadContent,
  uploadFacts,
  uploadFolder,
  uploadIntent,
} from './media-keys.ts'
import type { MediaStore } from './media-store.ts'

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
 * Gives a conversation a media, so that a message that names it may be appended: its content, unless that is there, and the binding. First it is noted which message that will be: should that never be
 * appended, the sweep finds the note and takes the binding back. Nothing here is undone when a later step fails; all of it may be done again.
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
