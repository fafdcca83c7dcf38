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
  ({ access, resumer }: RequestContext): Handler<'sync'> =>
  (request, caller) => {
    if (caller.session === undefined)
      throw new ConfabError('BAD_REQUEST', 't: sync is answered by pushes, so that it needs a socket.', {
        field: '/t',
      })
    access.requireFresh()
    const { session } = caller
    const { cursors } = request
    if (resumer.isFull(session))
      throw new ConfabError('OVERLOADED', 'Too many conversations wait to be filled; wait for some of them.')
    // After the answer, and for as long as it takes: not within the request.
    session.inFlight++
    queueMicrotask(() => void resumer.resume(session, cursors).finally(() => session.inFlight--))
    return nothing
  }

export const ping = (): Handler<'ping'> => () => ({ at: new Date().toISOString() })

/** Says how its user is, watches some, counts the members of a conversation: whatever of it is asked for. */
export const presence =
  ({ access, presence, presenceCounts, lastSeen: seen }: RequestContext): Handler<'presence'> =>
  async ({ users, c, state, lastSeen }, { user, session }) => {
    if (lastSeen === true) access.requireFresh()
    const count =
      c === undefined ? undefined : presenceCounts.of(await access.member(c, user), performance.now())
    if (state !== undefined) {
      if (session === undefined)
        throw new ConfabError('BAD_REQUEST', 'state: it is said of a socket, and needs one.', {
          field: '/state',
        })
      presence.said(session, state)
    }
    const asked = [...new Set(users)]
    if (users !== undefined && session !== undefined) presence.watch(session, asked)
    const states = Object.fromEntries(asked.map(one => [one, presence.stateOf(one)]))
    if (lastSeen !== true) return { states, ...count }
    const offline = asked.filter(one => states[one] === 'offline')
    return { states, ...count, lastSeen: (await seen?.tell(user, offline)) ?? {} }
  }
