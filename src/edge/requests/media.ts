import { type AnswerOf, ConfabError } from '../../events/index.ts'
import type { Media, MediaUpload } from '../../media/index.ts'
import { Readable } from '../access/readable.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Throws ConfabError UNAVAILABLE when this server has no media store. */
export const requireMedia = (media: Media | undefined): Media => {
  if (media === undefined) throw new ConfabError('UNAVAILABLE', 'This server has no media store.')
  return media
}

/** Returns the state of an upload as the protocol describes it. */
export const uploadAnswer = ({
  mediaId,
  name,
  type,
  parts,
  missing,
  verified,
}: MediaUpload): AnswerOf['media'] => ({
  mediaId,
  name,
  type,
  parts: parts.map(({ url, method, headers, range: [from, to] }) => ({
    url,
    method,
    headers: { ...headers },
    range: [from, to],
  })),
  missing,
  verified,
  complete: `/v1/media/${mediaId}/complete`,
})

/** Handles `media`: starts or continues an upload. Only members may learn which content a conversation already has. */
export const media =
  ({ media, access, quotas, reserve }: RequestContext): Handler<'media'> =>
  async (request, caller) => {
    const { c, mediaId, size } = request
    const { user } = caller
    const store = requireMedia(media)
    if (store.local !== undefined) reserve.requireForMedia()
    const { first } = c === undefined ? { first: 1 } : await access.readable(c, user)
    // Only a user who may read all of a conversation learns whether it has a content.
    const announcement = first > 1 ? { ...request, c: undefined } : request
    if (mediaId !== undefined) return uploadAnswer(await store.announce(user, announcement))
    store.checkSize(request)
    quotas.takeUpload(user, size)
    try {
      const upload = await store.announce(user, announcement)
      // The conversation has the content already, so nothing is left to upload.
      if (upload.verified) quotas.uploadEnded(user)
      return uploadAnswer(upload)
    } catch (error) {
      quotas.giveUploadBack(user, size)
      throw error
    }
  }

/** Returns a function that checks whether a message in the log has a medium attached. It rejects on a failed read. */
export const createSentCheck =
  ({ states, lookup, reader }: Pick<RequestContext, 'states' | 'lookup' | 'reader'>) =>
  async (c: string, m: string, mediaId: string): Promise<boolean> => {
    const view = await states.currentConversation(c)
    if (view === undefined) return false
    const found = await lookup.find(c, m, view.head)
    if (found === undefined) return false
    // The log keeps what a deleted message named.
    if (found.deleted) return true
    const [entry] = await reader.page(Readable.whole(view), { after: found.seq - 1, limit: 1 })
    if (entry?.seq !== found.seq)
      throw new Error(`event ${found.seq} of ${c} is in the log but could not be read`)
    const { attachments } = JSON.parse(new TextDecoder().decode(entry.data)) as {
      attachments?: { mediaId: string }[]
    }
    return attachments?.some(attachment => attachment.mediaId === mediaId) ?? false
  }
