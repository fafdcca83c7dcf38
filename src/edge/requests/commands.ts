import type { ConversationRequest, RequestOf } from '../../events/index.ts'
import type { Caller } from '../sessions/caller.ts'
import { ownMark } from '../signals/markers.ts'
import type { Fields, Handler, RequestContext } from './request-context.ts'

let second = 0
let prefix = ''

/** The time as events carry it. All but the milliseconds are formatted once a second. */
export const now = (): string => {
  const ms = Date.now()
  const current = Math.floor(ms / 1000)
  if (current !== second) {
    second = current
    prefix = new Date(ms).toISOString().slice(0, 20)
  }
  return `${prefix}${String(ms % 1000).padStart(3, '0')}Z`
}

const commandContext = (caller: Caller) =>
  caller.traceparent === undefined
    ? { from: caller.user, at: now() }
    : { from: caller.user, at: now(), traceparent: caller.traceparent }

/** Commands on conversations: the bus authorises them itself, on the state that it decides on. */
export const conversationCommand =
  ({ bus }: RequestContext) =>
  <R extends ConversationRequest>(request: R, caller: Caller): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(caller)) as Promise<Fields<R['t']>>

/** Marks and mutes are of the user's own log, but name a conversation: only members may. */
const ofMember =
  ({ bus, access }: RequestContext) =>
  async <R extends RequestOf['read' | 'delivered' | 'mute']>(request: R, caller: Caller) => {
    const { head } = await access.member(request.c, caller.user)
    // Noted before the bus has it: it may come live before it is answered.
    if (request.t === 'read' && caller.session !== undefined)
      caller.session.ownMark = ownMark(request.c, Math.min(request.seq, head))
    return await bus.execute(request, commandContext(caller))
  }

export const readMark = (context: RequestContext): Handler<'read'> => ofMember(context)

export const deliveredMark = (context: RequestContext): Handler<'delivered'> => ofMember(context)

export const mute = (context: RequestContext): Handler<'mute'> => ofMember(context)

/** Commands of the user's own log that name no conversation. */
export const userCommand =
  ({ bus }: RequestContext) =>
  <R extends RequestOf['block' | 'privacy']>(request: R, caller: Caller): Promise<Fields<R['t']>> =>
    bus.execute(request, commandContext(caller)) as Promise<Fields<R['t']>>
