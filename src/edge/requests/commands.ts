import { commandContext } from '../../commands/index.ts'
import { ConfabError, type ConversationRequest, type RequestOf } from '../../events/index.ts'
import { isDamage, notFound } from '../access/access.ts'
import type { Caller } from '../sessions/caller.ts'
import { ownMark } from '../signals/markers.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'

/**
 * Handles commands on a conversation. The command bus authorises them on the state that it decides on.
 */
export const conversationCommand =
  ({ bus, isOnRoster }: Pick<RequestContext, 'bus' | 'isOnRoster'>) =>
  <R extends ConversationRequest>(request: R, caller: Caller): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(caller.user, caller.traceparent)).catch(async error => {
      throw isDamage(error) && !(await isOnRoster(request.c, caller.user)) ? asForStrangers(request) : error
    }) as Promise<Fields<R['t']>>

/**
 * Returns the error of a user who is not a member of a conversation. A stranger must not learn that the log has lost
 * events of the conversation.
 */
const asForStrangers = ({ t }: ConversationRequest): ConfabError =>
  t === 'create' ? new ConfabError('ALREADY_EXISTS', undefined, { field: '/c' }) : notFound()

/** Handles commands of users' logs that name no conversation: `block`, `direct` and `privacy`. */
export const userCommand =
  ({ bus }: RequestContext) =>
  <R extends RequestOf['block' | 'direct' | 'privacy']>(
    request: R,
    caller: Caller,
  ): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(caller.user, caller.traceparent)) as Promise<Fields<R['t']>>

/** Handles commands of the user's own log that name a conversation: only its members may use them. */
const memberCommand =
  ({ bus, access }: RequestContext) =>
  async <R extends RequestOf['read' | 'delivered' | 'mute']>(request: R, caller: Caller) => {
    const { head } = await access.member(request.c, caller.user)
    // Set before the command runs: its event may arrive over the live feed before the answer.
    if (request.t === 'read' && caller.session !== undefined)
      caller.session.ownMark = ownMark(request.c, Math.min(request.seq, head))
    return await bus.execute(request, commandContext(caller.user, caller.traceparent))
  }

/** Handles `read`: moves the read marker. */
export const readMarker = (context: RequestContext): Handler<'read'> => memberCommand(context)

/** Handles `delivered`: moves the delivered marker. */
export const deliveredMarker = (context: RequestContext): Handler<'delivered'> => memberCommand(context)

export const mute = (context: RequestContext): Handler<'mute'> => memberCommand(context)
