import type { Role } from '../../events/index.ts'
import { noChanges, type Projection } from './projection.ts'

/** What a user is in a conversation. Key: (c, user); the greatest seq stands. */
export interface RoleChange {
  readonly c: string
  readonly user: string
  readonly seq: number
  /** null: not a member (any more). */
  readonly role: Role | null
}

/** Whether a user follows a channel, whatever its role. Key: (c, user); the greatest seq of the user stands. */
export interface FollowChange {
  readonly c: string
  readonly user: string
  readonly seq: number
  readonly follows: boolean
}

export type RosterChange = RoleChange | FollowChange

/** Who is in which conversation, as what. */
export const rosterProjection: Projection<RosterChange> = {
  name: 'roster',
  version: 1,
  apply({ event }) {
    switch (event.type) {
      case 'conversation.created':
        return event.members.map(({ user, role }) => ({ c: event.c, user, seq: event.seq, role }))
      case 'member.joined':
      case 'member.role_changed':
        return [{ c: event.c, user: event.user, seq: event.seq, role: event.role }]
      case 'member.left': {
        const left: RoleChange = { c: event.c, user: event.user, seq: event.seq, role: null }
        return event.successor === undefined
          ? [left]
          : [left, { c: event.c, user: event.successor, seq: event.seq, role: 'owner' }]
      }
      case 'channel.followed':
      case 'channel.unfollowed':
        return [{ c: event.c, user: event.u, seq: event.seq, follows: event.type === 'channel.followed' }]
      default:
        return noChanges
    }
  },
}
