import type { ProfileItem } from '../../events/index.ts'
import { fittingItems, given } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'
import { createUserReads } from './user-reads.ts'

/** Users whose states are read at the same time. */
const batch = 10

/**
 * Handles `profiles`: returns the profiles of the first users that fit a frame. A user that does not exist has no
 * profile, as a user that has set none.
 */
export const profiles = ({ access, states }: RequestContext): Handler<'profiles'> => {
  const read = createUserReads(states)
  return async ({ users }, caller) => {
    access.requireFresh()
    const found: ProfileItem[] = []
    for (let start = 0; start < users.length && fittingItems(found) === found.length; start += batch)
      found.push(
        ...(await Promise.all(
          users
            .slice(start, start + batch)
            .map(async user => ({ user, ...given('data', (await read(caller.user, user)).data) })),
        )),
      )
    const profiles = found.slice(0, fittingItems(found))
    return { profiles, more: profiles.length < users.length }
  }
}
