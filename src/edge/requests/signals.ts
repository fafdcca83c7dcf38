import { ConfabError } from '../../events/index.ts'
import { requireOpen } from '../access/access.ts'
import { hasBlockWithCompanion } from '../access/blocks.ts'
import type { PresenceCount } from '../presence/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

const noFields = {}

/**
 * Members from which on a count includes all of them. A count of fewer would reveal the state of a member that does not
 * show it to the caller.
 */
const countsEverybodyFrom = 20

/**
 * Handles `typing`. Large conversations, followers of channels, and users that are alone with one behind a block send
 * no typing signals.
 */
export const typing =
  ({ access, states, typing, limits }: RequestContext): Handler<'typing'> =>
  async (request, caller) => {
    const { c, on } = request
    const view = await access.member(c, caller.user)
    requireOpen(view)
    const { memberCount } = view
    if (memberCount > limits.typingMembers || view.roleOf(caller.user) === undefined) return noFields
    if (!(await hasBlockWithCompanion(states, view, caller.user))) typing.set(c, caller.user, on)
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
 * Handles `presence`: sets the caller's state, watches users, counts online members, each if the request asks for it. A
 * user that the caller may not see looks offline.
 */
export const presence =
  ({
    access,
    contacts,
    presence,
    presenceCounts,
    lastSeen: lastSeenTimes,
  }: RequestContext): Handler<'presence'> =>
  async ({ users, c, state, lastSeen }, { user, session }) => {
    if (users !== undefined && users.length > 0) access.requireFresh()
    let count: PresenceCount | undefined
    if (c !== undefined) {
      const view = await access.member(c, user)
      count =
        view.memberCount < countsEverybodyFrom
          ? presenceCounts.ofShown(view, await contacts.shownTo(user, [...view.members()], c))
          : presenceCounts.of(view, performance.now())
    }
    if (state !== undefined) {
      if (session === undefined)
        throw new ConfabError('BAD_REQUEST', 'state: needs a session. Send it over a WebSocket or gRPC.', {
          field: '/state',
        })
      presence.reported(session, state)
    }
    const asked = [...new Set(users)]
    const watching = users === undefined ? undefined : session
    const shown = await presence.audience.look(user, asked, watching)
    const states = Object.fromEntries(asked.map(one => [one, shown.get(one) ?? 'offline']))
    if (lastSeen !== true) return { states, ...count }
    const offline = asked.filter(one => shown.get(one) === 'offline')
    return { states, ...count, lastSeen: (await lastSeenTimes?.of(offline)) ?? {} }
  }
