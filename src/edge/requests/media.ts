import { type AnswerOf, ConfabError, type RequestOf } from '../../events/index.ts'
import type { Media, MediaUpload } from '../../media/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { conversationCommand } from './commands.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'

const required = (media: Media | undefined): Media => {
  if (media === undefined) throw new ConfabError('UNAVAILABLE', 'This server has no store of media.')
  return media
}

/** An upload as clients see it. */
export const answerOfUpload = ({ mediaId, parts, missing, verified }: MediaUpload): AnswerOf['media'] => ({
  mediaId,
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

/** Begins an upload or goes on with one. What a conversation has already, only its members are told. */
export const media =
  ({ media, access }: RequestContext): Handler<'media'> =>
  async (request, caller) => {
    const { c } = request
    if (c !== undefined) await access.member(c, caller.user)
    return answerOfUpload(await required(media).announce(caller.user, request))
  }

/** The answer to a message that is there already; undefined when it isn't, or that cannot be told. */
const sentBefore = async (
  { states, lookup }: RequestContext,
  c: string,
  m: string,
  user: string,
): Promise<AnswerOf['send'] | undefined> => {
  try {
    const view = await states.currentConversation(c)
    const found = view === undefined ? undefined : await lookup.find(c, m, view.head)
    return found?.from === user ? { seq: found.seq, at: found.at, duplicate: true } : undefined
  } catch {
    return undefined
  }
}

/** What is attached to a message has to be there, verified and of its sender, before the message is appended. */
export const send = (context: RequestContext): Handler<'send'> => {
  const command = conversationCommand(context)
  const withAttachments = async (
    request: RequestOf['send'],
    attachments: NonNullable<RequestOf['send']['attachments']>,
    caller: Caller,
  ): Promise<Fields<'send'>> => {
    const { c, m } = request
    try {
      await context.access.member(c, caller.user)
      await required(context.media).take(c, m, caller.user, attachments)
    } catch (error) {
      // A repeated send is answered as the first one was, whatever has become of its media, and of its sender.
      const sent = await sentBefore(context, c, m, caller.user)
      if (sent === undefined) throw error
      return sent
    }
    return await command(request, caller)
  }
  return (request, caller) =>
    request.attachments === undefined || request.attachments.length === 0
      ? command(request, caller)
      : withAttachments(request, request.attachments, caller)
}

/** Whether the log names a medium in a message; reads what the views lack. Rejects when that cannot be known now. */
export const createSentCheck =
  ({ states, lookup, reader }: Pick<RequestContext, 'states' | 'lookup' | 'reader'>) =>
  async (c: string, m: string, mediaId: string): Promise<boolean> => {
    const view = await states.currentConversation(c)
    if (view === undefined) return false
    const found = await lookup.find(c, m, view.head)
    if (found === undefined) return false
    const [entry] = await reader.page(view, { after: found.seq - 1, limit: 1 })
    if (entry?.seq !== found.seq) throw new Error(`event ${found.seq} of ${c} is in the log and was not read`)
    const { attachments } = JSON.parse(new TextDecoder().decode(entry.data)) as {
      attachments?: { mediaId: string }[]
    }
    return attachments?.some(attachment => attachment.mediaId === mediaId) ?? false
  }
