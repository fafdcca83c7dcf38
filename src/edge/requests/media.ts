import type { Media, MediaUpload } from '../../commands/index.ts'
import { type AnswerOf, ConfabError, type RequestOf } from '../../events/index.ts'
import { conversationCommand } from './commands.ts'
import type { Caller, Fields, Handler, RequestContext } from './request-context.ts'

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

/** What is attached to a message has to be there, verified and of its sender, before the message is appended. */
export const send = (context: RequestContext): Handler<'send'> => {
  const command = conversationCommand(context)
  const withAttachments = async (
    request: RequestOf['send'],
    attachments: NonNullable<RequestOf['send']['attachments']>,
    caller: Caller,
  ): Promise<Fields<'send'>> => {
    const { c, m } = request
    await context.access.member(c, caller.user)
    await required(context.media).take(c, m, caller.user, attachments)
    return await command(request, caller)
  }
  return (request, caller) =>
    request.attachments === undefined || request.attachments.length === 0
      ? command(request, caller)
      : withAttachments(request, request.attachments, caller)
}
