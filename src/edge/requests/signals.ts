import { ConfabError } from '../../events/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

const nothing = {}

export const typing =
  ({ access, typing, limits }: RequestContext): Handler<'typing'> =>
  async (request, caller) => {
    const { c, on } = request
    const view = await access.member(c, caller.user)
    const { memberCount } = view
    if (memberCount <= limits.typingMembers && view.roleOf(caller.user) !== undefined)
      typing.set(c, caller.user, on)
    return nothing
  }

/** Answered once it is on its way; whether it comes, nobody says. */
export const call =
  ({ calls }: RequestContext): Handler<'call'> =>
  async (request, caller) => {
    await calls.relay(request, caller)
    return nothing
  }

/** Answered at once; what was missed follows. */
export const sync =
  ({ access, catchUp }: RequestContext): Handler<'sync'> =>
  (request, caller) => {
    if (caller.session === undefined)
      throw new ConfabError('BAD_REQUEST', 't: sync is answered by pushes, so that it needs a socket.', {
        field: '/t',
      })
    access.requireFresh()
    const { session } = caller
    const { cursors } = request
    if (catchUp.isFull(session))
      throw new ConfabError('OVERLOADED', 'Too many conversations wait to be filled; wait for some of them.')
    // After the answer, and for as long as it takes: not within the request.
    session.inFlight++
    queueMicrotask(() => void catchUp.resume(session, cursors).finally(() => session.inFlight--))
    return nothing
  }

export const ping = (): Handler<'ping'> => () => ({ at: new Date().toISOString() })
