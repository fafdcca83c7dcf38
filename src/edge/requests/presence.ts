import { ConfabError } from '../../events/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

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
      presence.reported(session, state)
    }
    const asked = [...new Set(users)]
    if (users !== undefined && session !== undefined) presence.watch(session, asked)
    const states = Object.fromEntries(asked.map(one => [one, presence.stateOf(one)]))
    if (lastSeen !== true) return { states, ...count }
    const offline = asked.filter(one => states[one] === 'offline')
    return { states, ...count, lastSeen: (await seen?.of(user, offline)) ?? {} }
  }
