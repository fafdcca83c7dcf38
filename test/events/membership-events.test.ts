import t from 'tap'
import { Sequencer } from '../../src/client/sequencer.ts'
import { membershipChange } from '../../src/edge/access/memberships.ts'
import {
  type ConversationEvent,
  type ConversationEventType,
  isMembershipType,
  type StoredEvent,
} from '../../src/events/index.ts'
import { inboxProjection, rosterProjection } from '../../src/projections/index.ts'
import { endsMembership } from '../../src/web/inbox.ts'
import { at, c, evolve, group } from '../commands/given.ts'

/** An event of each type about mia, a member of the group of alice, or about nina, who is not one. */
const events: {
  readonly [T in ConversationEventType]: (
    user: string,
  ) => Omit<Extract<ConversationEvent, { type: T }>, 't' | 'c' | 'seq' | 'from' | 'at' | 'type'>
} = {
  'conversation.created': user => ({ kind: 'group', members: [{ user, role: 'member' }] }),
  'conversation.renamed': () => ({ title: 'x' }),
  'conversation.settings_changed': () => ({ posting: 'staff', slowModeSeconds: 0, archived: true }),
  'member.joined': user => ({ user, role: 'member' }),
  'member.left': user => ({ user }),
  'member.role_changed': user => ({ user, role: 'admin' }),
  'member.banned': user => ({ user }),
  'member.unbanned': user => ({ user }),
  'member.invited': user => ({ user }),
  'member.uninvited': user => ({ user }),
  'message.posted': () => ({ m: 'm1', n: 1, text: 'x' }),
  'message.edited': () => ({ m: 'm1', text: 'x' }),
  'message.deleted': () => ({ m: 'm1' }),
  'reaction.added': () => ({ m: 'm1', emoji: '👍' }),
  'reaction.removed': () => ({ m: 'm1', emoji: '👍' }),
}

/** Types that concern users who are not in the conversation, or roles, and change no membership. */
const changesNoMembers: ReadonlySet<string> = new Set([
  'member.role_changed',
  'member.invited',
  'member.uninvited',
  'conversation.settings_changed',
])

/** Whether a client of `user` follows the conversation no longer after an event. */
const endsFollowing = (event: ConversationEvent, user: string): boolean => {
  const sequencer = new Sequencer(
    { gapMs: 60_000, deliver: () => {}, sync: () => {}, user: () => user },
    { [c]: event.seq - 1 },
  )
  sequencer.accept(event)
  sequencer.stop()
  return !(c in sequencer.cursors())
}

for (const [type, fieldsOf] of Object.entries(events))
  t.test(`${type}: state, edge nodes, views and clients agree on which members join and leave`, async t => {
    for (const user of ['mia', 'nina']) {
      const state = group()
      const [before, { seq }] = [state.members.has(user), state]
      const event = {
        ...{ t: 'event', c, seq: seq + 1, from: 'alice', at, type },
        ...fieldsOf(user),
      } as ConversationEvent
      evolve(state, event, 'x')
      const after = state.members.has(user)
      const change = membershipChange(event)
      t.equal(isMembershipType(type), change !== undefined || changesNoMembers.has(type))
      // A role adds a follower to the log: the user has joined before.
      if (after && !before && type !== 'member.role_changed')
        t.ok(change?.joined.includes(user), 'the edge adds the user')
      if (before && !after) t.equal(change?.left, user, 'the edge removes the user')
      if (change?.left === user) t.notOk(after)
      t.equal(endsMembership(event, user), change?.left === user, 'the page')
      t.equal(endsFollowing(event, user), change?.left === user, 'the client')
      t.notOk(endsFollowing(event, 'max') || endsMembership(event, 'max'), 'another member stays')

      const stored = { envelope: { n: 0 }, streamSeq: 1 } as StoredEvent
      const roster = rosterProjection.apply({ stored, event }).find(row => row.user === user && 'role' in row)
      const inbox = inboxProjection
        .apply({ stored, event })
        .find(row => row.kind === 'membership' && row.user === user)
      if (change?.left === user) {
        t.match(roster, { role: null })
        t.match(inbox, { member: false })
      } else if (change?.joined.includes(user)) {
        t.match(roster, { role: 'member' })
        t.match(inbox, { member: true })
      } else t.equal(inbox, undefined)
    }
  })
