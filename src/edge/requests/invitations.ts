import type { ConversationView } from '../../commands/index.ts'
import { ConfabError, type InvitationItem } from '../../events/index.ts'
import { decodeCursor, encodeCursor } from '../../projections/index.ts'
import { hiding } from '../access/access.ts'
import { defaultPage, given, listPage } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'

/** Handles `invitations`: returns a page of the caller's open invitations, or of those of a conversation. */
export const invitations = (context: RequestContext): Handler<'invitations'> => {
  const { access } = context
  return async ({ c, limit = defaultPage, cursor }, { user }) => {
    access.requireFresh()
    if (c !== undefined) {
      const view = await access.member(c, user)
      return await listPage('open', limit, async most => invitationsTo(view, user, most, cursor))
    }
    await context.freshness.reached('invitations', context.limits.viewWaitMs)
    return await listPage('open', limit, most =>
      ownInvitations(context, user, { limit: most, ...given('cursor', cursor) }),
    )
  }
}

/**
 * The roster view suggests conversations, and the state of each of them decides. Invitations of users that the caller
 * has blocked are left out.
 */
const ownInvitations = async (
  { states, views }: RequestContext,
  user: string,
  page: { readonly limit: number; readonly cursor?: string },
) => {
  const { conversations, cursor } = await views.roster.invitationsOf(user, page)
  const { hasBlocked } = await states.user(user)
  const items = await Promise.all(
    conversations.map(async c => {
      const view = await readable(states.conversation(c))
      const invitation = view?.invitationOf(user)
      return view === undefined || invitation === undefined || hasBlocked(invitation.by)
        ? []
        : [itemOf(view, { user, ...invitation })]
    }),
  )
  return { items: items.flat(), cursor }
}

const invitationsTo = (view: ConversationView, user: string, limit: number, cursor: string | undefined) => {
  if (view.kind === 'direct') throw new ConfabError('FORBIDDEN', 'A direct conversation has no invitations.')
  const role = view.roleOf(user) ?? 'member'
  if (role === 'member') throw new ConfabError('FORBIDDEN', 'Only the owner and admins may do this.')
  const [after = ''] = cursor === undefined ? [] : decodeCursor(cursor, 1)
  const rest = view.invitations().filter(invitation => invitation.user > after)
  const page = rest.slice(0, limit)
  const last = page.at(-1)
  return {
    items: page.map(invitation => itemOf(view, invitation)),
    cursor: rest.length > limit && last !== undefined ? encodeCursor([last.user]) : undefined,
  }
}

/** Resolves with undefined where the log of a conversation cannot be read: the others are returned. */
const readable = async (
  view: ConversationView | undefined | Promise<ConversationView | undefined>,
): Promise<ConversationView | undefined> => {
  try {
    return await view
  } catch (error) {
    if (ConfabError.is(error) && hiding.has(error.code)) return undefined
    throw error
  }
}

const itemOf = (
  { c, kind, title, memberCount }: ConversationView,
  { user, by, at }: Pick<InvitationItem, 'user' | 'by' | 'at'>,
): InvitationItem => ({ c, kind, title: title ?? null, memberCount, user, by, at })
