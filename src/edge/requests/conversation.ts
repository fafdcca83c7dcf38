import type { MemberItem } from '../../events/index.ts'
import { defaultPage, given } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `conversation`: returns the settings and the size of a conversation, as of its head. */
export const conversation =
  ({ access }: RequestContext): Handler<'conversation'> =>
  async (request, caller) => {
    const { view, first } = await access.readable(request.c, caller.user)
    const { kind, title, head, memberCount, posting, slowModeSeconds, historyFrom } = view
    const role = view.roleOf(caller.user) ?? 'member'
    const settings = { posting, slowModeSeconds, historyFrom }
    return { kind, title: title ?? null, head, memberCount, role, ...settings, first }
  }

/**
 * Handles `members`: returns a page of the roster view. The conversation's state corrects it: former members are left
 * out, and roles are current. Followers of a channel are listed as the view has them.
 */
export const members =
  ({ access, views, freshness, limits }: RequestContext): Handler<'members'> =>
  async (request, caller) => {
    await access.member(request.c, caller.user)
    await freshness.reached('members', limits.viewWaitMs)
    const page = await views.roster.members(request.c, {
      limit: request.limit ?? defaultPage,
      ...given('cursor', request.cursor),
    })
    const view = await access.member(request.c, caller.user)
    const found: MemberItem[] = []
    for (const member of page.members) {
      const role = view.roleOf(member.user)
      const { follows, ...rest } = member
      if (role !== undefined) found.push({ ...rest, role })
      else if (follows === true) found.push({ ...rest, role: 'member' })
    }
    return { members: found, ...given('cursor', page.cursor) }
  }
