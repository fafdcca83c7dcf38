import { ConfabError } from '../../events/index.ts'
import { requireOpen } from '../access/access.ts'
import type { Handler, RequestContext } from './request-context.ts'

const noFields = {}

/** Handles `typing`. Large conversations, and followers of channels, send no typing signals. */
export const typing =
  ({ access, typing, limits }: RequestContext): Handler<'typing'> =>
  async (request, caller) => {
    const { c, on } = request
    const view = await access.member(c, caller.user)
    requireOpen(view)
    const { memberCount } = view
    if (memberCount <= limits.typingMembers && view.roleOf(caller.user) !== undefined)
      typing.set(c, caller.user, on)
    return noFields
  }

/**
 * Handles `call`: relays a call signal. The answer confirms that the signal was published, not that it was delivered.
 */
export const call =
  ({ calls }: RequestContext): Handler<'call'> =>
  async (request, caller) => {
    await calls.relay(request, caller)
    return noFields
  }

/**
 * Handles `presence`: sets the caller's state, watches users, counts online members, each if the request asks for it.
 */
export const presence =
  ({ access, presence, presenceCounts, lastSeen: lastSeenTimes }: RequestContext): Handler<'presence'> =>
  async ({ users, c, state, lastSeen }, { user, session }) => {
    if (lastSeen === true) access.requireFresh()
    const count =
      c === undefined ? undefined : presenceCounts.of(await access.member(c, user), performance.now())
    if (state !== undefined) {
      if (session === undefined)
        throw new ConfabError('BAD_REQUEST', 'state: needs a session. Send it over a WebSocket or gRPC.', {
          field: '/state',
        })
      presence.reported(session, state)
    }
    const asked = [...new Set(users)]
    if (users !== undefined && session !== undefined) presence.watch(session, asked)
    const states = Object.fromEntries(asked.map(one => [one, presence.stateOf(one)]))
    if (lastSeen !== true) return { states, ...count }
    const offline = asked.filter(one => states[one] === 'offline')
    return { states, ...count, lastSeen: (await lastSeenTimes?.of(user, offline)) ?? {} }
  }
