import type { UserState } from './user-state.ts'

/**
 * The result of adding a user to a group or channel. `add`: the user is a member at once. `invite`: the user becomes a
 * member by accepting. `refuse`: neither; the answer is the same for all reasons.
 */
export type Consent = 'add' | 'invite' | 'refuse'

/** Returns the result for a user that the sender of a command adds. Throws a TypeError for an unknown user. */
export type ConsentOf = (user: string) => Consent

/**
 * Returns the result for a user that `by` adds to conversation `c`, by the logs of the two. Undefined: `add` if the
 * user has written to `by` in their direct conversation, otherwise `invite`.
 */
export const consentOf = (user: UserState, by: UserState, c: string): Consent | undefined => {
  if (user.invitations === 'nobody' || user.blocked.has(by.user) || by.blocked.has(user.user)) return 'refuse'
  if (user.unfollowed.has(c)) return 'invite'
  return user.invitations === 'everybody' ? 'add' : undefined
}

/**
 * Returns the direct conversation of two users, by the log of the one with the smaller id. Undefined: they have none,
 * or one of an earlier version that no log records.
 */
export const directOf = (one: UserState, other: UserState): string | undefined =>
  one.user < other.user ? one.directs.get(other.user) : other.directs.get(one.user)
