import type { Kind } from '../../events/index.ts'
import { noChanges, type Projection } from './projection.ts'

/** An event occurred in a conversation. Key: c; the highest seq wins. */
export interface ActivityChange {
  readonly kind: 'activity'
  readonly c: string
  readonly seq: number
  /** Ordinal of the conversation's last message. */
  readonly n: number
}

/**
 * A message was posted: activity of its conversation, which moves to the top of the list, and a read marker of its
 * sender. Key: (c, seq).
 */
export interface MessageChange {
  readonly kind: 'message'
  readonly c: string
  readonly seq: number
  readonly at: string
  readonly n: number
  readonly m: string
  readonly from: string
  readonly text: string
}

/** The text of a message was changed or deleted. Key: (c, m); the highest seq wins. */
export interface AmendmentChange {
  readonly kind: 'amendment'
  readonly c: string
  readonly seq: number
  readonly m: string
  /** null: deleted. */
  readonly text: string | null
  /**
   * Sequence number of the deleted message. Undefined: an older version wrote the deletion, and the store finds the
   * message by its id.
   */
  readonly messageSeq?: number | undefined
}

/** A conversation was created. Key: c. */
export interface CreatedChange {
  readonly kind: 'created'
  readonly c: string
  readonly as: Kind
  /** Both members of a direct conversation. */
  readonly pair?: readonly [string, string]
}

/** The title of a conversation. Key: c; the highest seq wins. */
export interface TitleChange {
  readonly kind: 'title'
  readonly c: string
  readonly seq: number
  readonly title: string | null
}

/** Membership of a user in a conversation. Key: (user, c); the conversation's highest seq wins. */
export interface MembershipChange {
  readonly kind: 'membership'
  readonly c: string
  readonly seq: number
  readonly user: string
  readonly member: boolean
  /** Time at which the user arrived or left. */
  readonly at: string
}

/**
 * A user joined an existing conversation: earlier messages do not count as unread. Key: (user, c); the highest seq
 * wins.
 */
export interface CameChange {
  readonly kind: 'came'
  readonly c: string
  readonly seq: number
  readonly user: string
  /** Ordinal of the last message before the join. */
  readonly n: number
}

/** A user's read marker. Key: (user, c); the highest marker wins. */
export interface ReadMarkChange {
  readonly kind: 'read'
  readonly c: string
  readonly user: string
  readonly mark: number
}

/** A user's delivered marker. Key: (user, c); the highest marker wins. */
export interface DeliveredMarkChange {
  readonly kind: 'delivered'
  readonly c: string
  readonly user: string
  readonly mark: number
}

/** A user muted or unmuted a conversation. Key: (user, c); the user's highest seq wins. */
export interface MuteChange {
  readonly kind: 'mute'
  readonly c: string
  readonly user: string
  readonly seq: number
  readonly muted: boolean
}

/**
 * A user hid a conversation, or shows it again. Key: (user, c); the user's highest seq wins. The list has the
 * conversation from a message, or an arrival of the user, with the sequence number `shownFrom` on; 0: always.
 */
export interface HideChange {
  readonly kind: 'hide'
  readonly c: string
  readonly user: string
  readonly seq: number
  readonly shownFrom: number
}

/** A conversation was archived, or opened again. Key: c; the highest seq wins. */
export interface ArchivedChange {
  readonly kind: 'archived'
  readonly c: string
  readonly seq: number
  readonly archived: boolean
}

/** Whether a user follows a channel. Key: (user, c); the user's highest seq wins. */
export interface FollowsChange {
  readonly kind: 'follows'
  readonly c: string
  readonly user: string
  readonly seq: number
  readonly follows: boolean
  /** Time at which the user joined or left. */
  readonly at: string
}

/**
 * Every change concerns one row, never one row per member: the cost of a message does not depend on the number of
 * members.
 */
export type InboxChange =
  | ActivityChange
  | MessageChange
  | AmendmentChange
  | CreatedChange
  | TitleChange
  | MembershipChange
  | CameChange
  | ReadMarkChange
  | DeliveredMarkChange
  | MuteChange
  | HideChange
  | ArchivedChange
  | FollowsChange

/** Produces the rows that a user's list of conversations is joined from: heads, messages, memberships and markers. */
export const inboxProjection: Projection<InboxChange> = {
  name: 'inbox',
  version: 5,
  apply({ stored, event }) {
    switch (event.type) {
      case 'read.marked':
        return [{ kind: 'read', c: event.c, user: event.u, mark: event.mark }]
      case 'conversation.muted':
      case 'conversation.unmuted': {
        const muted = event.type === 'conversation.muted'
        return [{ kind: 'mute', c: event.c, user: event.u, seq: event.seq, muted }]
      }
      case 'conversation.hidden':
        return [{ kind: 'hide', c: event.c, user: event.u, seq: event.seq, shownFrom: event.head + 1 }]
      case 'conversation.unhidden':
        return [{ kind: 'hide', c: event.c, user: event.u, seq: event.seq, shownFrom: 0 }]
      case 'delivered.marked':
        return [{ kind: 'delivered', c: event.c, user: event.u, mark: event.mark }]
      case 'channel.followed': {
        const { c, u: user, seq, at, head, n } = event
        return [
          { kind: 'follows', c, user, seq, follows: true, at },
          { kind: 'came', c, seq: head, user, n },
          { kind: 'hide', c, user, seq, shownFrom: 0 },
        ]
      }
      case 'channel.unfollowed':
        return [{ kind: 'follows', c: event.c, user: event.u, seq: event.seq, follows: false, at: event.at }]
      case 'user.blocked':
      case 'user.unblocked':
      case 'privacy.changed':
      case 'profile.changed':
      case 'direct.opened':
        return noChanges
    }
    const { c, seq, at } = event
    const activity: ActivityChange = { kind: 'activity', c, seq, n: stored.envelope.n }
    const membership = (user: string, member: boolean): MembershipChange => ({
      kind: 'membership',
      c,
      seq,
      user,
      member,
      at,
    })
    switch (event.type) {
      case 'message.posted': {
        const { n, m, from, text } = event
        return [{ kind: 'message', c, seq, at, n, m, from, text }]
      }
      case 'message.edited':
        return [activity, { kind: 'amendment', c, seq, m: event.m, text: event.text }]
      case 'message.deleted':
        return [activity, { kind: 'amendment', c, seq, m: event.m, text: null, messageSeq: event.messageSeq }]
      case 'conversation.created': {
        const [first, second] = event.members
        const created: CreatedChange =
          event.kind === 'direct' && first !== undefined && second !== undefined
            ? { kind: 'created', c, as: event.kind, pair: [first.user, second.user] }
            : { kind: 'created', c, as: event.kind }
        return [
          activity,
          created,
          { kind: 'title', c, seq, title: event.title ?? null },
          ...event.members.map(({ user }) => membership(user, true)),
        ]
      }
      case 'conversation.renamed':
        return [activity, { kind: 'title', c, seq, title: event.title }]
      case 'member.joined':
        return [
          activity,
          membership(event.user, true),
          { kind: 'came', c, seq, user: event.user, n: stored.envelope.n },
        ]
      case 'member.left':
      case 'member.banned':
        return [activity, membership(event.user, false)]
      case 'conversation.settings_changed': {
        const { archived } = event
        return archived === undefined ? [activity] : [activity, { kind: 'archived', c, seq, archived }]
      }
      case 'member.unbanned':
      case 'member.invited':
      case 'member.uninvited':
      case 'member.role_changed':
      case 'reaction.added':
      case 'reaction.removed':
        return [activity]
    }
  },
  applyUnknown({ aggregate, envelope: { seq, n } }) {
    return [{ kind: 'activity', c: aggregate.id, seq, n }]
  },
}
