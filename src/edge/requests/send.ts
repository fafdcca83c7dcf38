import { type AnswerOf, asksFor, type RequestOf } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { conversationCommand } from './commands.ts'
import { requireMedia } from './media.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `send`: posts a message. The command bus authorises the sender on the state that it decides on. */
export const send = (context: RequestContext): Handler<'send'> => {
  const execute = conversationCommand(context)
  return (request, caller) =>
    request.attachments === undefined || request.attachments.length === 0
      ? execute(request, caller)
      : takeAttachments(context, request, caller).then(sent => sent ?? execute(request, caller))
}

/**
 * Binds the attachments to the message before it is appended: each must be uploaded, verified and owned by the sender.
 * Returns undefined on success. A repeated `send` may fail here, because its media or its sender are gone; it returns
 * the answer of the first `send` then.
 */
const takeAttachments = async (
  context: RequestContext,
  request: RequestOf['send'],
  { user }: Caller,
): Promise<AnswerOf['send'] | undefined> => {
  const { c, m, attachments } = request
  try {
    await context.access.member(c, user)
    await requireMedia(context.media).take(c, m, user, attachments ?? [])
    return undefined
  } catch (error) {
    const sent = await sentBefore(context, request, user)
    if (sent === undefined) throw error
    return sent
  }
}

/**
 * Returns the answer to the same message that the sender has posted before; undefined when there is none, or on a
 * failed read.
 */
const sentBefore = async (
  { states, lookup }: RequestContext,
  request: RequestOf['send'],
  user: string,
): Promise<AnswerOf['send'] | undefined> => {
  const { c, m } = request
  try {
    const view = await states.currentConversation(c)
    const found = view === undefined ? undefined : await lookup.find(c, m, view.head)
    if (found?.from !== user) return undefined
    const isSame = asksFor(request, user, { type: 'message.posted', fingerprint: found.fingerprint })
    return isSame ? { seq: found.seq, at: found.at, duplicate: true } : undefined
  } catch {
    return undefined
  }
}
