import type { ConversationEvent, MemberUninvited } from '../../events/index.ts'
import { type Refusal, refuse } from './aggregate.ts'
import type { ConsentOf } from './consent.ts'

/** An open invitation. */
export interface Invitation {
  /** User that invited. */
  readonly by: string
  /** Time of the invitation. */
  readonly at: string
}

/** The part of a conversation's state that decides which users are invited instead of added. */
export interface InvitationState {
  /** Open invitations, by user. */
  invitations: Map<string, Invitation>
  /** The last users that left by themselves or declined an invitation, and are not members; the first one first. */
  departed: Set<string>
  /** Whether `departed` has forgotten users. */
  forgetsDeparted: boolean
}

export const noInvitations = (): InvitationState => ({
  invitations: new Map(),
  departed: new Set(),
  forgetsDeparted: false,
})

/** Bounds of the open invitations of a conversation. Undefined: no limit. */
export interface InvitationLimits {
  readonly invitations?: number
  /** Invitations that one user has made. */
  readonly userInvitations?: number
}

/** Users that left by themselves or declined, of those that a conversation remembers. */
export const departedUsers = 4_096

/**
 * Whether a user has left the conversation by himself, or declined an invitation. Once a conversation has forgotten
 * users who did, every user counts as one of them: no user is added without consent.
 */
export const hasDeparted = ({ departed, forgetsDeparted }: InvitationState, user: string): boolean =>
  departed.has(user) || forgetsDeparted

/** Remembers a user who has left by himself, or declined, in place. Forgets the one who did so first. */
const noteDeparted = (state: InvitationState, user: string): void => {
  const { departed } = state
  departed.delete(user)
  departed.add(user)
  if (departed.size <= departedUsers) return
  for (const first of departed) {
    departed.delete(first)
    state.forgetsDeparted = true
    return
  }
}

/** The refusal of a user who may be neither added nor invited: one for all reasons, so that it tells none of them. */
export const refuseAdding = (field: string): Refusal =>
  refuse('FORBIDDEN', 'This user can be neither added nor invited by you.', field)

/** Refuses more invitations than a conversation, or one user in it, may have. A `create` has none to withdraw. */
export const refuseManyInvitations = (
  invitations: ReadonlyMap<string, Invitation>,
  by: string,
  added: number,
  { invitations: most = Number.POSITIVE_INFINITY, userInvitations = most }: InvitationLimits = {},
  field: '/user' | '/members' = '/user',
): Refusal | undefined => {
  const remedy = field === '/user' ? 'Withdraw one first.' : 'Name fewer users that have to consent.'
  if (invitations.size + added > most)
    return refuse('CONFLICT', `The conversation may have ${most} open invitations. ${remedy}`, field)
  let own = added
  for (const invitation of invitations.values()) if (invitation.by === by) own++
  return own > userInvitations
    ? refuse(
        'CONFLICT',
        `You may have ${userInvitations} open invitations in a conversation. ${remedy}`,
        field,
      )
    : undefined
}

/** Returns the event of an invitation that ends without a `member.joined`. */
export const uninvited = (
  { c, seq }: { readonly c: string; readonly seq: number },
  from: string,
  at: string,
  user: string,
  isAccepted = false,
): MemberUninvited => ({
  t: 'event',
  c,
  seq: seq + 1,
  type: 'member.uninvited',
  from,
  at,
  user,
  ...(isAccepted ? { accepted: true as const } : {}),
})

/** Returns the users that a `create` adds and invites; or the field of a user who may be neither. */
export const admittedAtCreation = (
  from: string,
  users: readonly string[],
  consent: ConsentOf,
):
  | { readonly added: readonly string[]; readonly invited: readonly string[] }
  | { readonly refused: string } => {
  const added = new Set<string>()
  const invited = new Set<string>()
  for (const [index, user] of users.entries()) {
    if (user === from) continue
    const answer = consent(user)
    if (answer === 'refuse') return { refused: `/members/${index}` }
    if (answer === 'add') added.add(user)
    else invited.add(user)
  }
  return { added: [...added], invited: [...invited] }
}

/** Returns the open invitations, sorted by user id. */
export const invitationList = ({
  invitations,
}: InvitationState): ({ readonly user: string } & Invitation)[] =>
  Array.from(invitations, ([user, invitation]) => ({ user, ...invitation })).sort((a, b) =>
    a.user < b.user ? -1 : 1,
  )

/** Applies an event to the invitations and to the users that have left, in place. */
export const evolveInvitations = (state: InvitationState, event: ConversationEvent): void => {
  const { invitations, departed } = state
  switch (event.type) {
    case 'conversation.created':
      for (const user of event.invited ?? []) invitations.set(user, { by: event.from, at: event.at })
      break
    case 'member.joined':
    case 'member.role_changed':
      invitations.delete(event.user)
      departed.delete(event.user)
      break
    case 'member.left':
      if (event.from === event.user) noteDeparted(state, event.user)
      break
    case 'member.invited':
      invitations.set(event.user, { by: event.from, at: event.at })
      break
    case 'member.uninvited':
      invitations.delete(event.user)
      if (event.from === event.user && event.accepted !== true) noteDeparted(state, event.user)
      break
    case 'member.banned':
      invitations.delete(event.user)
      break
    case 'conversation.settings_changed':
      for (const user of event.uninvited ?? []) invitations.delete(user)
      break
  }
}
