import t from 'tap'
import { emptyConversation } from '../../src/commands/domain/conversation-state.ts'
import { decideUser, type UserCommand } from '../../src/commands/domain/decide-user.ts'
import { emptyUser, evolveUser, type UserState, userType } from '../../src/commands/domain/user-state.ts'
import type { UserRequest } from '../../src/events/index.ts'
import { at, c, command, direct, group, run } from './given.ts'

const conversation = group()
for (let i = 0; i < 8; i++) run(conversation, command('max', { t: 'send', m: `m${i}`, text: 'hi' }))

type Wish = UserRequest extends infer R ? (R extends unknown ? Omit<R, 'id'> : never) : never

const when = (state: UserState, wish: Wish, more: Partial<UserCommand> = { conversation }) => {
  const decision = decideUser(state, {
    request: { id: '1', ...wish } as UserRequest,
    user: state.user,
    from: state.user,
    at,
    id: 'x',
    ...more,
  })
  if ('event' in decision)
    evolveUser(state, decision.event, { stream: 'USER_0', streamSeq: decision.event.seq, commandId: 'x' })
  return decision
}

t.test('a marker moves forward, at most to the head', async t => {
  const mia = emptyUser('mia')
  t.same(when(mia, { t: 'read', c, seq: 5 }), {
    event: { u: 'mia', seq: 1, type: 'read.marked', at, c, mark: 5 },
  })
  t.same(when(mia, { t: 'read', c, seq: 4 }), { unchanged: { seq: 5 } })
  t.same(when(mia, { t: 'read', c, seq: 5 }), { unchanged: { seq: 5 } })
  t.match(when(mia, { t: 'read', c, seq: 99 }), { event: { seq: 2, mark: 10 } })
  t.same(when(mia, { t: 'read', c, seq: 99 }), { unchanged: { seq: 10 } })
  t.same(when(emptyUser('mia'), { t: 'read', c, seq: 0 }), { unchanged: { seq: 0 } })
})

t.test('a read message counts as delivered', async t => {
  const mia = emptyUser('mia')
  t.match(when(mia, { t: 'delivered', c, seq: 4 }), { event: { type: 'delivered.marked', mark: 4 } })
  t.match(when(mia, { t: 'read', c, seq: 6 }), { event: { type: 'read.marked', mark: 6 } })
  t.same(when(mia, { t: 'delivered', c, seq: 6 }), { unchanged: { seq: 6 } })
  t.same(when(mia, { t: 'read', c, seq: 3 }), { unchanged: { seq: 6 } })
  t.match(when(mia, { t: 'delivered', c, seq: 7 }), { event: { mark: 7 } })
  t.same(mia.marks.get(c), { read: 6, delivered: 7 })
})

t.test('a profile is set, kept, replaced and removed; repeating a change changes nothing', async t => {
  const mia = emptyUser('mia')
  const data = { name: 'Mia', tags: ['a'] }
  t.same(when(mia, { t: 'profile' }), { unchanged: {} })
  t.same(when(mia, { t: 'profile', data: {} }), { unchanged: {} })
  t.same(when(mia, { t: 'profile', data }), {
    event: { u: 'mia', seq: 1, type: 'profile.changed', at, data },
  })
  t.same(when(mia, { t: 'profile', data: { tags: ['a'], name: 'Mia' } }), { unchanged: { data } })
  t.same(when(mia, { t: 'profile' }), { unchanged: { data } })
  t.match(when(mia, { t: 'profile', data: { name: 'M' } }), { event: { seq: 2, data: { name: 'M' } } })
  t.match(when(mia, { t: 'profile', data: {} }), { event: { seq: 3, data: null } })
  t.same(when(mia, { t: 'profile', data: null }), { unchanged: {} })
})

t.test('last seen is visible to contacts, and markers to everybody, until the user changes it', async t => {
  const mia = emptyUser('mia')
  const initial = { lastSeen: 'contacts', receipts: 'everybody', invitations: 'everybody' }
  t.same(when(mia, { t: 'privacy' }), { unchanged: initial })
  t.same(when(mia, { t: 'privacy', lastSeen: 'contacts', receipts: 'everybody' }), { unchanged: initial })
  t.same(when(mia, { t: 'privacy', lastSeen: 'nobody' }), {
    event: { u: 'mia', seq: 1, type: 'privacy.changed', at, ...initial, lastSeen: 'nobody' },
  })
  t.same(when(mia, { t: 'privacy', receipts: 'nobody' }), {
    event: {
      u: 'mia',
      seq: 2,
      type: 'privacy.changed',
      at,
      ...initial,
      lastSeen: 'nobody',
      receipts: 'nobody',
    },
  })
  const changed = { ...initial, lastSeen: 'nobody', receipts: 'nobody' }
  t.same(when(mia, { t: 'privacy' }), { unchanged: changed })
  t.match(userType.deserialise('mia', userType.serialise(mia), userType.snapshotVersion), changed)
})

t.test('an event of before receipts leaves them as they are', async t => {
  const mia = emptyUser('mia')
  when(mia, { t: 'privacy', receipts: 'nobody' })
  const origin = { stream: 's', streamSeq: 9, commandId: 'x', seenAt: 0, isLive: true }
  userType.evolve(mia, { u: 'mia', seq: 2, type: 'privacy.changed', at, lastSeen: 'nobody' }, origin)
  t.match(mia, { lastSeen: 'nobody', receipts: 'nobody' })
})

t.test('a non-member sets no markers, mutes nothing and learns nothing', async t => {
  const eve = emptyUser('eve')
  for (const wish of [
    { t: 'read', c, seq: 1 },
    { t: 'delivered', c, seq: 1 },
    { t: 'mute', c, on: true },
  ] as const) {
    t.match(when(eve, wish), { refused: 'NOT_FOUND' })
    t.match(when(eve, wish, { conversation: direct() }), { refused: 'NOT_FOUND' })
    t.match(when(eve, wish, { conversation: emptyConversation(c) }), { refused: 'NOT_FOUND' })
    t.match(when(eve, wish, { conversation: group('channel') }), { refused: 'NOT_MEMBER' })
  }
})

t.test('a conversation is muted and unmuted', async t => {
  const mia = emptyUser('mia')
  t.same(when(mia, { t: 'mute', c, on: false }), { unchanged: {} })
  t.match(when(mia, { t: 'mute', c, on: true }), { event: { type: 'conversation.muted', c } })
  t.same(when(mia, { t: 'mute', c, on: true }), { unchanged: {} })
  t.match(
    when(mia, { t: 'mute', c, on: false }, { conversation: emptyConversation(c) }),
    { event: { type: 'conversation.unmuted', c } },
    'also by a former member',
  )
})

t.test('a user is blocked and unblocked', async t => {
  const mia = emptyUser('mia')
  t.match(when(mia, { t: 'block', user: 'max', on: true }), { event: { type: 'user.blocked', user: 'max' } })
  t.same(when(mia, { t: 'block', user: 'max', on: true }), { unchanged: {} })
  t.match(when(mia, { t: 'block', user: 'max', on: false }), { event: { type: 'user.unblocked' } })
  t.same(when(mia, { t: 'block', user: 'max', on: false }), { unchanged: {} })
  t.match(when(mia, { t: 'block', user: 'mia', on: true }), { refused: 'BAD_REQUEST' })
})

t.test('the direct conversation of a pair is recorded once', async t => {
  const bob = emptyUser('bob')
  const opened = { proposed: 'p1', blocked: false, earlier: null }
  t.match(when(bob, { t: 'direct', user: 'bob' }, opened), { refused: 'BAD_REQUEST', field: '/user' })
  t.match(when(bob, { t: 'direct', user: 'cyd' }, { ...opened, blocked: true }), { refused: 'FORBIDDEN' })
  t.same(when(bob, { t: 'direct', user: 'cyd' }, opened), {
    event: { u: 'bob', seq: 1, type: 'direct.opened', at, peer: 'cyd', c: 'p1', by: 'bob' },
  })
  const proposed = { ...opened, proposed: 'p2' }
  const missing = { ...proposed, conversation: emptyConversation('p1') }
  t.same(when(bob, { t: 'direct', user: 'cyd' }, missing), { unchanged: { c: 'p1' } }, 'not created yet')
  t.same(
    when(bob, { t: 'direct', user: 'bob' }, { ...missing, from: 'cyd' }),
    { unchanged: { c: 'p1' } },
    'the other user opens it',
  )
  const existing = { ...emptyConversation('p1'), seq: 1, kind: 'direct' as const }
  const ofPair = { ...existing, members: new Map([['bob', 'owner'] as const, ['cyd', 'member'] as const]) }
  t.same(when(bob, { t: 'direct', user: 'cyd' }, { ...proposed, conversation: ofPair }), {
    unchanged: { c: 'p1' },
    done: true,
  })
  t.match(
    when(bob, { t: 'direct', user: 'cyd' }, { ...proposed, conversation: existing }),
    { event: { seq: 2, peer: 'cyd', c: 'p2' } },
    'other users have taken the id',
  )
  t.match(when(bob, { t: 'direct', user: 'cyd' }, { ...proposed, conversation: { ...existing, c: 'p2' } }), {
    unchanged: { c: 'p2' },
  })
  t.match(when(bob, { t: 'direct', user: 'dan' }, { ...opened, earlier: 'old' }), {
    event: { peer: 'dan', c: 'old' },
  })
  t.same(
    [...bob.directs],
    [
      ['cyd', 'p2'],
      ['dan', 'old'],
    ],
  )
})

t.test('hiding: by members, up to the last event; showing: always', async t => {
  const mia = emptyUser('mia')
  t.same(when(mia, { t: 'hide', c, on: false }), { unchanged: {} })
  t.same(when(mia, { t: 'hide', c, on: true }), {
    event: { u: 'mia', seq: 1, type: 'conversation.hidden', at, c, head: 10 },
  })
  t.same(when(mia, { t: 'hide', c, on: true }), { unchanged: {} })
  run(conversation, command('max', { t: 'send', m: 'later', text: 'hi' }))
  t.match(when(mia, { t: 'hide', c, on: true }), { event: { head: 11 } }, 'again, after a message')
  t.same(when(mia, { t: 'hide', c, on: false }, { conversation: emptyConversation(c) }), {
    event: { u: 'mia', seq: 3, type: 'conversation.unhidden', at, c },
  })
  t.same(mia.hidden.size, 0)
  t.match(when(emptyUser('eve'), { t: 'hide', c, on: true }), { refused: 'NOT_FOUND' })
  t.match(when(emptyUser('bob'), { t: 'hide', c, on: true }, { conversation: direct() }), {
    event: { type: 'conversation.hidden', head: 1 },
  })
  when(mia, { t: 'hide', c, on: true })
  evolveUser(
    mia,
    { u: 'mia', seq: 5, type: 'channel.followed', at, c, head: 11, n: 9 },
    {
      stream: 'USER_0',
      streamSeq: 5,
      commandId: 'x',
    },
  )
  t.same(mia.hidden.size, 0, 'a user who follows the channel anew sees it')
})

t.test('a banned user neither follows a channel nor has markers in it', async t => {
  const channel = group('channel')
  run(channel, command('alice', { t: 'ban', user: 'zoe' }))
  const zoe = emptyUser('zoe')
  zoe.follows.set(c, 0)
  for (const wish of [
    { t: 'read', c, seq: 1 },
    { t: 'mute', c, on: true },
    { t: 'hide', c, on: true },
  ] as const)
    t.match(when(zoe, wish, { conversation: channel }), { refused: 'NOT_MEMBER' }, wish.t)
  const follow = (on: boolean, from: string) =>
    decideUser(emptyUser('zoe'), {
      request: { t: 'follow', c, on },
      user: 'zoe',
      from,
      at,
      id: 'x',
      conversation: channel,
    })
  t.same(follow(true, 'zoe'), { refused: 'BANNED' })
  t.match(follow(true, 'alice'), { refused: 'BANNED', field: '/user' })
  t.match(follow(false, 'alice'), { unchanged: {} })
})

t.test('a snapshot is the state', async t => {
  const mia = emptyUser('mia')
  when(mia, { t: 'read', c, seq: 5 })
  when(mia, { t: 'delivered', c, seq: 7 })
  when(mia, { t: 'mute', c, on: true })
  when(mia, { t: 'hide', c, on: true })
  when(mia, { t: 'block', user: 'max', on: true })
  when(mia, { t: 'direct', user: 'zoe' }, { proposed: 'p', earlier: null })
  const restored = userType.deserialise('mia', userType.serialise(mia), userType.snapshotVersion)
  t.same(restored, mia)
  const fork = userType.fork(mia, 1)
  when(fork, { t: 'block', user: 'eve', on: true })
  when(fork, { t: 'hide', c, on: false })
  when(fork, { t: 'direct', user: 'zed' }, { proposed: 'q', earlier: null })
  t.same(mia, restored, 'a fork leaves the original unchanged')
  for (const version of [1, 2, 3, 4, userType.snapshotVersion + 1])
    t.throws(() => userType.deserialise('mia', userType.serialise(mia), version), RangeError)
})

t.test('only the next event is accepted', async t => {
  const event = { u: 'mia', seq: 2, type: 'user.blocked', at, user: 'max' } as const
  t.throws(
    () => evolveUser(emptyUser('mia'), event, { stream: 'USER_0', streamSeq: 1, commandId: 'x' }),
    RangeError,
  )
})
