import { ConfabError } from '../../events/index.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Says how its user is, watches some, counts the members of a conversation: whatever of it is asked for. */
export const presence =
  ({ access, presence, presenceCounts }: RequestContext): Handler<'presence'> =>
  async ({ users, c, state }, { user, session }) => {
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
    return { states: Object.fromEntries(asked.map(one => [one, presence.stateOf(one)])), ...count }
  }
