import { ConfabError, type MemberItem } from '../../events/index.ts'
import { decodeCursor, encodeCursor, type RosterItem } from '../../projections/index.ts'
import { hasBlockWithCompanion } from '../access/blocks.ts'
import { defaultPage, given } from './pages.ts'
import type { Handler, RequestContext } from './request-context.ts'
import { createUserReads, type UserReads } from './user-reads.ts'

/** Handles `conversation`: returns the settings and the size of a conversation, as of its head. */
export const conversation =
  ({ access }: RequestContext): Handler<'conversation'> =>
  async (request, caller) => {
    const { view, first } = await access.readable(request.c, caller.user)
    const { kind, title, head, memberCount, data } = view
    const { posting, slowModeSeconds, archived, historyFrom } = view
    const role = view.roleOf(caller.user) ?? 'member'
    return {
      kind,
      title: title ?? null,
      head,
      memberCount,
      role,
      posting,
      slowModeSeconds,
      archived,
      historyFrom,
      first,
      ...given('data', data),
    }
  }

/**
 * Handles `members`: returns a page of the roster view. The conversation's state corrects it: former members are left
 * out, and roles are current. Followers of a channel are listed as the view has them. Users may hide their
 * markers. Two users that are alone, with a block between them, see no markers of each other.
 */
export const members = ({ access, states, views, freshness, limits }: RequestContext): Handler<'members'> => {
  const read = createUserReads(states)
  return async (request, caller) => {
    const before = await access.member(request.c, caller.user)
    await freshness.reached('members', limits.viewWaitMs)
    const page = await views.roster.members(request.c, {
      limit: request.limit ?? defaultPage,
      ...given('cursor', request.cursor),
    })
    const hidden = (await hasBlockWithCompanion(states, before, caller.user))
      ? before.companionOf(caller.user)
      : undefined
    const shown = await Promise.all(
      page.members.map(member =>
        member.user === hidden ? withoutMarkers(member) : withShownMarkers(read, member, caller.user),
      ),
    )
    const view = await access.member(request.c, caller.user)
    const found: MemberItem[] = []
    for (const member of shown) {
      const role = view.roleOf(member.user)
      const { follows, ...rest } = member
      if (role !== undefined) found.push({ ...rest, role })
      else if (follows === true && !view.isBanned(member.user)) found.push({ ...rest, role: 'member' })
    }
    return { members: found, ...given('cursor', page.cursor) }
  }
}

/** Handles `bans`: returns a page of the banned users, by the conversation's state. */
export const bans =
  ({ access }: RequestContext): Handler<'bans'> =>
  async ({ c, limit = defaultPage, cursor }, { user }) => {
    const view = await access.member(c, user)
    if (view.kind === 'direct') throw new ConfabError('FORBIDDEN', 'A direct conversation has no bans.')
    const role = view.roleOf(user) ?? 'member'
    if (role === 'member') throw new ConfabError('FORBIDDEN', 'Only the owner and admins may do this.')
    const [after = ''] = cursor === undefined ? [] : decodeCursor(cursor, 1)
    const rest = view.bans().filter(ban => ban.user > after)
    const page = rest.slice(0, limit)
    const last = page.at(-1)
    return {
      bans: page,
      ...(rest.length > limit && last !== undefined ? { cursor: encodeCursor([last.user]) } : {}),
    }
  }

/** Returns a member without its markers if the user hides them, or if the user's setting cannot be read. */
const withShownMarkers = async (read: UserReads, member: RosterItem, caller: string): Promise<RosterItem> => {
  if (member.user === caller || (member.read ?? member.delivered) === undefined) return member
  const isShown = await read(caller, member.user).then(
    ({ receipts }) => receipts === 'everybody',
    () => false,
  )
  return isShown ? member : withoutMarkers(member)
}

const withoutMarkers = ({ read: _read, delivered: _delivered, ...rest }: RosterItem): RosterItem => rest
