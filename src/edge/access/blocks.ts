import type { ConversationView, StateReader } from '../../commands/index.ts'

/** Resolves with whether one of two users has blocked the other. Rejects with ConfabError. */
export const hasBlockBetween = async (states: StateReader, user: string, other: string): Promise<boolean> => {
  const [one, two] = await Promise.all([states.user(user), states.user(other)])
  return one.hasBlocked(other) || two.hasBlocked(user)
}

/**
 * Resolves with whether a user is alone in a conversation with one that has blocked the user, or is blocked by the
 * user. Nothing that a user does may reach the other one there. Rejects with ConfabError.
 */
export const hasBlockWithCompanion = async (
  states: StateReader,
  view: ConversationView,
  user: string,
): Promise<boolean> => {
  const other = view.companionOf(user)
  return other !== undefined && (await hasBlockBetween(states, user, other))
}
