import type { Role } from '../../events/index.ts'
import { noChanges, type Projection } from './projection.ts'

/** A user's role in a conversation. Key: (c, user); the highest seq wins. */
export interface RoleChange {
  readonly c: string
  readonly user: string
  readonly seq: number
  /** null: not a member, or no longer. */
  readonly role: Role | null
  /** The user is invited. */
  readonly isInvited?: true
}

/** Whether a user follows a channel, independent of the role. Key: (c, user); the user's highest seq wins. */
export interface FollowChange {
  readonly c: string
  readonly user: string
  readonly seq: number
  readonly follows: boolean
}

export type RosterChange = RoleChange | FollowChange

const invited = ({ c, seq }: { readonly c: string; readonly seq: number }, user: string): RoleChange => ({
  c,
  user,
  seq,
  role: null,
  isInvited: true,
})

/** Produces the members of each conversation with their roles, and the users that are invited. */
export const rosterProjection: Projection<RosterChange> = {
  name: 'roster',
  version: 3,
  apply({ event }) {
    switch (event.type) {
      case 'conversation.created':
        return [
          ...event.members.map(({ user, role }) => ({ c: event.c, user, seq: event.seq, role })),
          ...(event.invited ?? []).map(user => invited(event, user)),
        ]
      case 'member.invited':
        return [invited(event, event.user)]
      case 'member.uninvited':
        return [{ c: event.c, user: event.user, seq: event.seq, role: null }]
      case 'conversation.settings_changed':
        return (event.uninvited ?? []).map(user => ({ c: event.c, user, seq: event.seq, role: null }))
      case 'member.joined':
      case 'member.role_changed':
        return [{ c: event.c, user: event.user, seq: event.seq, role: event.role }]
      case 'member.left': {
        const left: RoleChange = { c: event.c, user: event.user, seq: event.seq, role: null }
        return event.successor === undefined
          ? [left]
          : [left, { c: event.c, user: event.successor, seq: event.seq, role: 'owner' }]
      }
      case 'member.banned':
        return [{ c: event.c, user: event.user, seq: event.seq, role: null }]
      case 'channel.followed':
      case 'channel.unfollowed':
        return [{ c: event.c, user: event.u, seq: event.seq, follows: event.type === 'channel.followed' }]
      default:
        return noChanges
    }
  },
}
