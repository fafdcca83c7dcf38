import t from 'tap'
import { at, c, codeOf, command, direct, given, group, run, when } from './given.ts'

t.test('owner and admins invite, into groups and channels', async t => {
  for (const kind of ['group', 'channel'] as const) {
    const state = group(kind)
    t.same(when(state, 'adam', { t: 'invite', user: 'nina' }), {
      event: { t: 'event', c, seq: 3, type: 'member.joined', from: 'adam', at, user: 'nina', role: 'member' },
    })
    t.equal(codeOf(when(state, 'mia', { t: 'invite', user: 'nina' })), 'FORBIDDEN')
    t.same(when(state, 'alice', { t: 'invite', user: 'mia' }), { unchanged: { seq: 2 } })
  }
})

t.test('any user may join a channel, but not a group', async t => {
  t.match(when(group('channel'), 'nina', { t: 'join' }), {
    event: { type: 'member.joined', from: 'nina', user: 'nina', role: 'member' },
  })
  t.same(when(group('channel'), 'mia', { t: 'join' }), { unchanged: { seq: 2 } })
  t.equal(codeOf(when(group(), 'nina', { t: 'join' })), 'NOT_FOUND')
  t.same(when(group(), 'mia', { t: 'join' }), { unchanged: { seq: 2 } })
})

t.test('only members with a lower role are removed', async t => {
  const state = group()
  const remove = (from: string, user: string) => codeOf(when(state, from, { t: 'remove', user }))
  t.match(when(state, 'alice', { t: 'remove', user: 'mia' }), {
    event: { type: 'member.left', from: 'alice', user: 'mia', seq: 3 },
  })
  t.equal(remove('alice', 'adam'), 'member.left')
  t.equal(remove('adam', 'mia'), 'member.left')
  t.equal(remove('adam', 'alice'), 'FORBIDDEN')
  t.equal(remove('adam', 'adam'), 'FORBIDDEN')
  t.equal(remove('alice', 'alice'), 'FORBIDDEN')
  t.equal(remove('mia', 'max'), 'FORBIDDEN')
  t.equal(remove('alice', 'nobody'), 'unchanged')
})

t.test('a removed member is a stranger at once', async t => {
  const state = group()
  run(state, command('alice', { t: 'remove', user: 'mia' }))
  t.equal(codeOf(when(state, 'mia', { t: 'send', m: 'm1', text: 'hi' })), 'NOT_FOUND')
  t.equal(codeOf(when(state, 'mia', { t: 'leave' })), 'NOT_FOUND')
})

t.test('only the owner sets roles, and there is always an owner', async t => {
  const state = group()
  const role = (from: string, user: string, as: 'owner' | 'admin' | 'member') =>
    codeOf(when(state, from, { t: 'role', user, role: as }))
  t.equal(role('adam', 'mia', 'admin'), 'FORBIDDEN')
  t.equal(role('mia', 'mia', 'owner'), 'FORBIDDEN')
  t.equal(role('alice', 'mia', 'admin'), 'member.role_changed')
  t.equal(role('alice', 'adam', 'admin'), 'unchanged')
  t.equal(role('alice', 'nobody', 'admin'), 'NOT_FOUND')
  t.equal(role('alice', 'alice', 'member'), 'CONFLICT')
  run(state, command('alice', { t: 'role', user: 'mia', role: 'owner' }))
  t.equal(role('alice', 'alice', 'member'), 'member.role_changed')
})

t.test('the last owner who leaves is succeeded by the longest-standing admin, else member', async t => {
  const successor = (...history: Parameters<typeof given>) => {
    const state = given(
      ['alice', { t: 'create', kind: 'group', members: ['mia', 'max', 'adam'] }],
      ...history,
    )
    const decision = run(state, command('alice', { t: 'leave' }))
    return 'event' in decision && decision.event.type === 'member.left'
      ? { successor: decision.event.successor, roles: Object.fromEntries(state.members) }
      : decision
  }
  t.same(successor(['alice', { t: 'role', user: 'adam', role: 'admin' }]), {
    successor: 'adam',
    roles: { mia: 'member', max: 'member', adam: 'owner' },
  })
  t.same(successor(), { successor: 'mia', roles: { mia: 'owner', max: 'member', adam: 'member' } })
  t.same(
    successor(['alice', { t: 'remove', user: 'mia' }], ['alice', { t: 'invite', user: 'mia' }]),
    { successor: 'max', roles: { max: 'owner', adam: 'member', mia: 'member' } },
    'a returning member starts anew',
  )
  t.same(successor(['alice', { t: 'role', user: 'max', role: 'owner' }]), {
    successor: undefined,
    roles: { mia: 'member', max: 'owner', adam: 'member' },
  })
})

t.test('the first user who joins an empty channel owns it', async t => {
  const state = given(['alice', { t: 'create', kind: 'channel', members: [] }], ['alice', { t: 'leave' }])
  t.equal(state.members.size, 0)
  t.match(when(state, 'bob', { t: 'join' }), { event: { user: 'bob', role: 'owner' } })
})

t.test('a direct conversation keeps its two members', async t => {
  const wishes = [
    { t: 'invite', user: 'eve' },
    { t: 'remove', user: 'bob' },
    { t: 'role', user: 'bob', role: 'owner' },
    { t: 'join' },
    { t: 'leave' },
  ] as const
  for (const wish of wishes)
    for (const from of ['alice', 'bob']) t.equal(codeOf(when(direct(), from, wish)), 'FORBIDDEN', wish.t)
})
