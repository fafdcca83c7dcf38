import type { Handler, RequestContext } from './request-context.ts'

/** What is not in every event: the settings and the size, as of the head that is told with them. */
export const conversation =
  ({ access }: RequestContext): Handler<'conversation'> =>
  async (request, caller) => {
    const view = await access.member(request.c, caller.user)
    const { kind, title, head, memberCount, posting, slowModeSeconds } = view
    const role = view.roleOf(caller.user) ?? 'member'
    return { kind, title: title ?? null, head, memberCount, role, posting, slowModeSeconds }
  }
