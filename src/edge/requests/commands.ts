import { type ConversationView, commandContext } from '../../commands/index.ts'
import type { ConversationRequest, RequestOf } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { ownMark } from '../signals/markers.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'
import { afterEarlier, afterPreparation, mustWait, untilAnswered } from './request-order.ts'

const executeOf =
  ({ bus }: RequestContext) =>
  <R extends ConversationRequest>(request: R, { user, traceparent }: Caller): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(user, traceparent)) as Promise<Fields<R['t']>>

/**
 * Handles commands on a conversation, except `send` and changes of its members. The command bus authorises them on the
 * state that it decides on.
 */
export const conversationCommand = (context: RequestContext) => {
  const execute = executeOf(context)
  return <R extends ConversationRequest>(request: R, caller: Caller): Promise<Fields<R['t']>> => {
    const { session } = caller
    return mustWait(session, request.c)
      ? afterEarlier(session, request.c, () => execute(request, caller))
      : execute(request, caller)
  }
}

/** Handles commands that change the members of a conversation. */
export const membershipCommand = (context: RequestContext) => {
  const execute = executeOf(context)
  return <
    R extends RequestOf[
      | 'create'
      | 'invite'
      | 'accept'
      | 'decline'
      | 'remove'
      | 'ban'
      | 'unban'
      | 'join'
      | 'leave'],
  >(
    request: R,
    caller: Caller,
  ): Promise<Fields<R['t']>> => untilAnswered(caller.session, request.c, () => execute(request, caller))
}

/** Handles commands of users' logs that name no conversation: `block`, `direct`, `privacy` and `profile`. */
export const userCommand =
  ({ bus }: RequestContext) =>
  <R extends RequestOf['block' | 'direct' | 'privacy' | 'profile']>(
    request: R,
    caller: Caller,
  ): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(caller.user, caller.traceparent)) as Promise<Fields<R['t']>>

/** Handles commands of the user's own log that name a conversation: only its members may use them. */
const memberCommand =
  ({ bus, access }: RequestContext) =>
  <R extends RequestOf['read' | 'delivered' | 'mute' | 'hide']>(request: R, caller: Caller) => {
    const { c } = request
    const { user, session, traceparent } = caller
    const execute = ({ head }: ConversationView) => {
      // Set before the command runs: its event may arrive over the live feed before the answer.
      if (request.t === 'read' && session !== undefined)
        session.ownMark = ownMark(c, Math.min(request.seq, head))
      return bus.execute(request, commandContext(user, traceparent))
    }
    const view = access.member(c, user)
    if (!(view instanceof Promise) && !mustWait(session, c)) return execute(view)
    const checkAgain = async (): Promise<ConversationView> => await access.member(c, user)
    return afterPreparation(session, c, Promise.resolve(view), checkAgain, execute)
  }

/** Handles `read`: moves the read marker. */
export const readMarker = (context: RequestContext): Handler<'read'> => memberCommand(context)

/** Handles `delivered`: moves the delivered marker. */
export const deliveredMarker = (context: RequestContext): Handler<'delivered'> => memberCommand(context)

/** Handles `hide`: takes a conversation out of the inbox, or puts it back. */
export const hide = (context: RequestContext): Handler<'hide'> => memberCommand(context)

export const mute = (context: RequestContext): Handler<'mute'> => memberCommand(context)
