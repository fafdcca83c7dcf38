import { ConfabError, Family, type Position } from '../../events/index.ts'
import type { LiveFeed } from '../ports/live-feed.ts'
import type { SharedConversations } from '../ports/shared-conversations.ts'

/** A view of memberships. It may lag, and `positions` say how far it is. */
export interface MembershipView {
  conversationsOf(
    user: string,
  ): Promise<{ readonly conversations: readonly string[]; readonly positions: readonly Position[] }>
}

/**
 * Finds shared conversations in the roster view. Its first use waits, by UNAVAILABLE, until the view has reached the
 * position that the feed has then. From then on the view has every conversation from before that position.
 */
export const createRosterShared = (
  roster: MembershipView,
  feed: Pick<LiveFeed, 'positions'>,
): SharedConversations => {
  let since: readonly Position[] | undefined
  let isComplete = false
  const isReached = (positions: readonly Position[]): boolean =>
    (since ?? []).every(
      ({ stream, streamSeq }) =>
        (positions.find(position => position.stream === stream)?.streamSeq ?? 0) >= streamSeq,
    )
  return {
    of: async (user, other) => {
      since ??= feed.positions().filter(({ family }) => family === Family.conversation)
      const [mine, theirs] = await Promise.all([roster.conversationsOf(user), roster.conversationsOf(other)])
      if (!isComplete && !(isReached(mine.positions) && isReached(theirs.positions)))
        throw new ConfabError('UNAVAILABLE', 'The list of members is being brought up to date; try again.')
      isComplete = true
      const others = new Set(theirs.conversations)
      return mine.conversations.filter(c => others.has(c))
    },
  }
}
