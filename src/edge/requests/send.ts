import { commandContext } from '../../commands/index.ts'
import { type AnswerOf, asksFor, type RequestOf } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { requireMedia } from './media.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'
import { afterEarlier, afterPreparation } from './request-order.ts'

/** Handles `send`: posts a message. The command bus authorises the sender on the state that it decides on. */
export const send = (context: RequestContext): Handler<'send'> => {
  const execute = (request: RequestOf['send'], caller: Caller): Promise<Fields<'send'>> =>
    context.bus.execute(request, commandContext(caller.user, caller.traceparent)) as Promise<Fields<'send'>>
  return (request, caller) => {
    const { c, attachments } = request
    const { session } = caller
    if (attachments !== undefined && attachments.length > 0) {
      const take = () => takeAttachments(context, request, caller)
      return afterPreparation(session, c, take(), take, async sent => sent ?? execute(request, caller))
    }
    if (session?.turns?.has(c) === true) return afterEarlier(session, c, () => execute(request, caller))
    return execute(request, caller)
  }
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
    // The same reads whether the conversation exists or not: the sender may be a stranger.
    const view = await states.currentConversation(c)
    const found = await lookup.find(c, m, view?.head ?? 0)
    if (found?.from !== user) return undefined
    const isSame = asksFor(request, user, { type: 'message.posted', fingerprint: found.fingerprint })
    return isSame ? { seq: found.seq, at: found.at, duplicate: true } : undefined
  } catch {
    return undefined
  }
}
