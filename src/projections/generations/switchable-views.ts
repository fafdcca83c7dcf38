import type { Views } from '../ports/views.ts'
import type { Generations } from '../views/projection.ts'

/** Views whose generations can be switched while they are in use. */
export interface SwitchableViews extends Views {
  /**
   * Reads these generations from now on. Rejects, and continues with the previous generations, when one of them
   * cannot be read.
   */
  use(generations: Generations): Promise<void>
}

/**
 * Creates views over readers of fixed generations, which `at` makes. Callers may keep the parts: each part follows a
 * switch.
 */
export const switchableViews = (
  at: (generations: Generations) => Views,
  generations: Generations = {},
): SwitchableViews => {
  let views = at(generations)
  return {
    timeline: {
      page: (c, range) => views.timeline.page(c, range),
      findMessage: (c, m) => views.timeline.findMessage(c, m),
      head: c => views.timeline.head(c),
      amendments: (c, from, to) => views.timeline.amendments(c, from, to),
      messagesWith: (c, mediaId) => views.timeline.messagesWith(c, mediaId),
    },
    inbox: {
      page: (user, page) => views.inbox.page(user, page),
      undelivered: (user, page) => views.inbox.undelivered(user, page),
      item: (user, c) => views.inbox.item(user, c),
      heads: (user, conversations) => views.inbox.heads(user, conversations),
    },
    roster: {
      conversationsOf: user => views.roster.conversationsOf(user),
      members: (c, page) => views.roster.members(c, page),
      invitationsOf: (user, page) => views.roster.invitationsOf(user, page),
    },
    search: { search: query => views.search.search(query) },
    positions: projection => views.positions(projection),
    use: async next => {
      views = at(next)
    },
  }
}
