import type { Test } from 'tap'
import type { FollowChange, RoleChange } from '../../src/projections/index.ts'
import type { OpenEmptyViews } from './open-views.ts'

const change = (c: string, user: string, seq: number, role: RoleChange['role']): RoleChange => ({
  c,
  user,
  seq,
  role,
})

const follow = (c: string, user: string, seq: number, follows: boolean): FollowChange => ({
  c,
  user,
  seq,
  follows,
})

/** The contract of RosterStore and ReadStateStore, read through RosterQueries. */
export const testRosterStore = (t: Test, open: OpenEmptyViews): void => {
  t.test('members are listed by user, page by page, each with role and markers', async t => {
    const { stores, views } = await open(t)
    await stores.roster.apply([
      change('c', 'cyd', 3, 'member'),
      change('c', 'ann', 1, 'owner'),
      change('c', 'Bob', 2, 'admin'),
    ])
    await stores.roster.apply([change('d', 'eve', 1, 'owner')])
    await stores.readState.apply([
      { of: 'read', c: 'c', user: 'ann', mark: 5 },
      { of: 'delivered', c: 'c', user: 'ann', mark: 7 },
      { of: 'delivered', c: 'c', user: 'cyd', mark: 2 },
      { of: 'read', c: 'd', user: 'cyd', mark: 9 },
    ])
    const first = await views.roster.members('c', { limit: 2 })
    t.same(first.members, [
      { user: 'Bob', role: 'admin' },
      { user: 'ann', role: 'owner', read: 5, delivered: 7 },
    ])
    const rest = await views.roster.members('c', { limit: 2, cursor: first.cursor ?? '' })
    t.same(rest, { members: [{ user: 'cyd', role: 'member', delivered: 2 }] })
    t.same(await views.roster.members('nowhere', { limit: 2 }), { members: [] })
    await t.rejects(views.roster.members('c', { limit: 2, cursor: '?' }), { code: 'BAD_REQUEST' })
  })

  t.test('markers only grow', async t => {
    const { stores, views } = await open(t)
    await stores.roster.apply([change('c', 'ann', 1, 'owner')])
    const marks = async (read: number, delivered: number) => {
      await stores.readState.apply([
        { of: 'read', c: 'c', user: 'ann', mark: read },
        { of: 'delivered', c: 'c', user: 'ann', mark: delivered },
      ])
      return (await views.roster.members('c', { limit: 1 })).members[0]
    }
    t.match(await marks(3, 0), { read: 3, delivered: 3 }, 'a read message counts as delivered')
    t.match(await marks(3, 4), { read: 3, delivered: 4 })
    t.match(await marks(2, 5), { read: 3, delivered: 5 })
    await stores.readState.clear()
    t.same((await views.roster.members('c', { limit: 1 })).members, [{ user: 'ann', role: 'owner' }])
  })

  t.test('the newest event determines a role', async t => {
    const { stores, views } = await open(t)
    const roles = async () =>
      Object.fromEntries((await views.roster.members('c', { limit: 9 })).members.map(m => [m.user, m.role]))
    const of = async (user: string) => (await views.roster.conversationsOf(user)).conversations
    await stores.roster.apply([
      change('c', 'ann', 1, 'owner'),
      change('c', 'bob', 1, 'member'),
      change('d', 'bob', 1, 'owner'),
    ])
    await stores.roster.apply([change('c', 'ann', 4, null), change('c', 'bob', 4, 'owner')])
    t.same(await roles(), { bob: 'owner' })
    t.same([await of('ann'), await of('bob')], [[], ['c', 'd']])
    await stores.roster.apply([change('c', 'ann', 1, 'owner'), change('c', 'bob', 1, 'member')])
    t.same(await roles(), { bob: 'owner' }, 'a replay of older events changes nothing')
    await stores.roster.apply([change('c', 'ann', 5, 'member')])
    t.same(await roles(), { ann: 'member', bob: 'owner' })
    t.same(await of('ann'), ['c'])
    await stores.roster.clear()
    t.same([await roles(), await of('ann')], [{}, []])
  })

  t.test('a follower is in the channel, whatever the user’s role', async t => {
    const { stores, views } = await open(t)
    const members = async () => (await views.roster.members('c', { limit: 9 })).members
    const of = async (user: string) => (await views.roster.conversationsOf(user)).conversations
    await stores.roster.apply([
      change('c', 'ann', 1, 'owner'),
      follow('c', 'bob', 7, true),
      follow('d', 'bob', 8, true),
      follow('d', 'bob', 9, false),
      follow('c', 'cyd', 1, true),
    ])
    await stores.roster.apply([follow('c', 'bob', 6, false)])
    await stores.readState.apply([{ of: 'read', c: 'c', user: 'bob', mark: 5 }])
    const bob = { user: 'bob', role: 'member', follows: true, read: 5, delivered: 5 }
    t.same(await members(), [
      { user: 'ann', role: 'owner' },
      bob,
      { user: 'cyd', role: 'member', follows: true },
    ])
    t.same(await of('bob'), ['c'])
    await stores.roster.apply([change('c', 'bob', 3, 'admin'), follow('c', 'cyd', 2, false)])
    t.same(await members(), [
      { user: 'ann', role: 'owner' },
      { ...bob, role: 'admin' },
    ])
    t.same([await of('bob'), await of('cyd')], [['c'], []], 'once, though it is both')
    await stores.roster.apply([follow('c', 'bob', 10, false)])
    t.match(await members(), [{ user: 'ann' }, { user: 'bob', role: 'admin', follows: undefined }])
    await stores.roster.apply([change('c', 'bob', 4, null), follow('c', 'bob', 11, true)])
    t.match(await members(), [{ user: 'ann' }, { user: 'bob', role: 'member', follows: true }])
    t.same(await of('bob'), ['c'])
  })

  t.test('invitations are listed by conversation, page by page, until a later event ends them', async t => {
    const { stores, views } = await open(t)
    const invited = (c: string, seq: number): RoleChange => ({
      ...change(c, 'ann', seq, null),
      isInvited: true,
    })
    const of = async (user: string) => (await views.roster.invitationsOf(user, { limit: 9 })).conversations
    await stores.roster.apply([
      invited('c', 2),
      invited('a', 3),
      invited('b', 4),
      change('a', 'bob', 1, 'owner'),
      follow('a', 'ann', 1, true),
    ])
    const first = await views.roster.invitationsOf('ann', { limit: 2 })
    t.same(first.conversations, ['a', 'b'])
    t.same(await views.roster.invitationsOf('ann', { limit: 2, cursor: first.cursor ?? '' }), {
      conversations: ['c'],
    })
    t.same(await of('bob'), [])
    t.same((await views.roster.members('b', { limit: 9 })).members, [], 'an invited user is no member')
    t.same((await views.roster.conversationsOf('ann')).conversations, ['a'])
    await stores.roster.apply([change('a', 'ann', 4, 'member'), change('b', 'ann', 5, null)])
    await stores.roster.apply([invited('a', 3), invited('b', 4)])
    t.same(await of('ann'), ['c'], 'a replay of older events changes nothing')
    await stores.roster.apply([invited('b', 6)])
    t.same(await of('ann'), ['b', 'c'])
    await t.rejects(views.roster.invitationsOf('ann', { limit: 2, cursor: '?' }), { code: 'BAD_REQUEST' })
    await stores.roster.clear()
    t.same(await of('ann'), [])
  })

  t.test('conversations are returned with the positions that they reflect', async t => {
    const { stores, views } = await open(t)
    const checkpoint = { projection: 'roster', generation: 1, version: 1, deadLetters: 0 } as const
    await stores.atomically(async () => {
      await stores.roster.apply([change('c', 'ann', 1, 'owner')])
      await stores.checkpoints.save(
        [
          { ...checkpoint, stream: 'CONV_0', streamSeq: 7 },
          { ...checkpoint, projection: 'inbox', stream: 'CONV_0', streamSeq: 9 },
          { ...checkpoint, generation: 2, stream: 'CONV_0', streamSeq: 11 },
        ],
        0,
      )
      await stores.checkpoints.save([{ ...checkpoint, stream: 'USER_0', streamSeq: 2 }], 0)
    })
    const positions = [
      { stream: 'CONV_0', streamSeq: 7 },
      { stream: 'USER_0', streamSeq: 2 },
    ]
    t.same(await views.roster.conversationsOf('ann'), { conversations: ['c'], positions })
    t.same(await views.positions('roster'), positions)
    t.same(await views.positions('timeline'), [])
  })
}
