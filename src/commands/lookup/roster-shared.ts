import { ConfabError } from '../../events/index.ts'
import type { SharedConversations } from '../ports/shared-conversations.ts'

/** A view of memberships. It may lag. */
export interface MembershipView {
  conversationsOf(user: string): Promise<{ readonly conversations: readonly string[] }>
}

/**
 * Finds shared conversations in the roster view, as far as the view is: no command waits for a view. Rejects with
 * ConfabError UNAVAILABLE when the view cannot be read.
 */
export const createRosterShared = (roster: MembershipView): SharedConversations => ({
  of: async (user, other) => {
    try {
      const [mine, theirs] = await Promise.all([roster.conversationsOf(user), roster.conversationsOf(other)])
      const others = new Set(theirs.conversations)
      return mine.conversations.filter(c => others.has(c))
    } catch (error) {
      throw new ConfabError('UNAVAILABLE', undefined, { cause: error })
    }
  },
})
