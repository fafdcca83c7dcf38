import t from 'tap'
import type { Consent } from '../../src/commands/domain/consent.ts'
import {
  conversationType,
  deserialiseConversation,
  serialiseConversation,
} from '../../src/commands/domain/conversation-type.ts'
import { departedUsers } from '../../src/commands/domain/invitations.ts'
import { createFollowingStates } from '../../src/commands/index.ts'
import { MemoryEventLog, MemoryLiveFeed, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { c, codeOf, command, direct, evolve, given, group, run, when } from './given.ts'
import { type Asked, setUp } from './one-node.ts'

const invite = (user: string) => ({ t: 'invite', user }) as const
const as = (consent: Consent) => ({ consent: () => consent })

t.test('the consent of the user decides whether an addition is one, an invitation, or refused', async t => {
  for (const kind of ['group', 'channel'] as const) {
    const state = group(kind)
    t.equal(codeOf(when(state, 'alice', invite('nina'), as('add'))), 'member.joined')
    t.equal(codeOf(when(state, 'adam', invite('nina'), as('invite'))), 'member.invited')
    t.match(when(state, 'alice', invite('nina'), as('refuse')), { refused: 'FORBIDDEN', field: '/user' })
    t.equal(codeOf(when(state, 'mia', invite('nina'), as('refuse'))), 'FORBIDDEN')
    t.equal(codeOf(when(state, 'alice', invite('mia'), as('refuse'))), 'unchanged', 'a member')
    t.throws(() => when(state, 'alice', invite('nina'), { consent: undefined }), /needs the consent/)
    t.notMatch(
      when(state, 'alice', invite('nina'), as('refuse')),
      when(state, 'mia', invite('nina'), as('refuse')),
      'the refusal of a user is not that of a plain member',
    )
  }
  t.throws(
    () => when(given(), 'alice', { t: 'create', kind: 'group', members: ['bob'] }, { consent: undefined }),
    /needs the consent/,
  )
  t.match(
    when(
      given(),
      'alice',
      { t: 'create', kind: 'group', members: ['bob', 'eve'] },
      {
        consent: user => (user === 'eve' ? 'invite' : 'add'),
      },
    ),
    { event: { members: [{ user: 'alice' }, { user: 'bob' }], invited: ['eve'] } },
  )
})

t.test('an invitation lasts until it is answered, withdrawn, or ended by a ban or by archiving', async t => {
  const invited = () => {
    const state = group()
    run(state, command('adam', invite('nina'), as('invite')))
    return state
  }
  const pending = { unchanged: { seq: 3, pending: true } }
  for (const consent of ['invite', 'refuse'] as const)
    t.same(when(invited(), 'alice', invite('nina'), as(consent)), pending, 'whatever has changed')
  t.equal(codeOf(when(invited(), 'alice', invite('nina'), as('add'))), 'member.joined')
  t.match(when(invited(), 'nina', { t: 'accept' }), {
    event: { type: 'member.joined', user: 'nina', from: 'nina', role: 'member' },
  })
  for (const wish of [{ t: 'leave' }, { t: 'send', m: 'n1', text: 'x' }, { t: 'join' }] as const)
    t.equal(codeOf(when(invited(), 'nina', wish)), 'NOT_FOUND', wish.t)
  for (const [from, wish] of [
    ['nina', { t: 'decline' }],
    ['adam', { t: 'remove', user: 'nina' }],
    ['alice', { t: 'ban', user: 'nina' }],
    ['alice', { t: 'settings', archived: true }],
  ] as const) {
    const state = invited()
    t.ok('event' in run(state, command(from, wish)), wish.t)
    t.equal(state.invitations.size, 0)
    for (const answer of ['accept', 'decline'] as const)
      t.equal(codeOf(when(state, 'nina', { t: answer })), 'NOT_FOUND', wish.t)
  }
  t.equal(codeOf(when(invited(), 'mia', { t: 'remove', user: 'nina' })), 'FORBIDDEN')
  for (const answer of ['accept', 'decline'] as const)
    t.equal(codeOf(when(group(), 'mia', { t: answer })), 'unchanged', 'a member')
})

t.test('a user who left or declined is asked, one who was removed is added', async t => {
  const state = group()
  run(state, command('mia', { t: 'leave' }))
  run(state, command('alice', { t: 'remove', user: 'max' }))
  t.equal(codeOf(when(state, 'alice', invite('mia'), as('add'))), 'member.invited')
  t.equal(codeOf(when(state, 'alice', invite('max'), as('add'))), 'member.joined')
  run(state, command('alice', invite('mia'), as('add')))
  run(state, command('mia', { t: 'decline' }))
  t.equal(codeOf(run(state, command('alice', invite('mia'), as('add')))), 'member.invited', 'again')
  run(state, command('mia', { t: 'accept' }))
  run(state, command('alice', { t: 'remove', user: 'mia' }))
  t.equal(codeOf(when(state, 'alice', invite('mia'), as('add'))), 'member.joined')
})

t.test('beyond the bound of users that left, every user is asked', async t => {
  const state = group('channel')
  const at = '2026-11-24T02:30:43.123Z'
  for (let n = 0; n <= departedUsers; n++) {
    const user = `u${n}`
    const base = { t: 'event', c, from: user, at, user } as const
    evolve(state, { ...base, seq: state.seq + 1, type: 'member.joined', role: 'member' }, `j${n}`)
    t.equal(codeOf(when(state, 'alice', invite('new'), as('add'))), 'member.joined')
    evolve(state, { ...base, seq: state.seq + 1, type: 'member.left' }, `l${n}`)
  }
  t.equal(state.departed.size, departedUsers)
  for (const user of ['u0', 'new'])
    t.equal(codeOf(when(state, 'alice', invite(user), as('add'))), 'member.invited', user)
  t.ok(conversationType.bytes(state) > departedUsers * 50)
  const again = deserialiseConversation(c, serialiseConversation(state), conversationType.snapshotVersion)
  t.equal(codeOf(when(again, 'alice', invite('new'), as('add'))), 'member.invited')
})

t.test('open invitations are bounded, of a conversation and of one user in it', async t => {
  const state = group()
  const limits = { invitations: 3, userInvitations: 2 }
  const add = (from: string, user: string) =>
    codeOf(run(state, command(from, invite(user), { ...as('invite'), limits })))
  for (const user of ['n1', 'n2']) t.equal(add('adam', user), 'member.invited')
  t.equal(add('adam', 'n3'), 'CONFLICT')
  t.equal(add('alice', 'n3'), 'member.invited')
  t.equal(add('alice', 'n4'), 'CONFLICT')
  t.match(when(state, 'adam', invite('n4'), { ...as('invite'), limits }), { message: /Withdraw one/ })
  run(state, command('n1', { t: 'decline' }))
  t.equal(add('alice', 'n4'), 'member.invited')
  for (const most of [limits, { ...limits, userInvitations: 9 }])
    t.match(
      when(
        given(),
        'alice',
        { t: 'create', kind: 'group', members: ['n1', 'n2', 'n3', 'n4'] },
        { ...as('invite'), limits: most },
      ),
      { refused: 'CONFLICT', field: '/members', message: /Name fewer users/ },
    )
})

t.test('a snapshot of before lacks which users left, so the state is rebuilt from the log', async t => {
  for (const version of [2, 3, 4, 5])
    t.throws(() => deserialiseConversation(c, serialiseConversation(group()), version), /joined and left/)
  const pair = direct()
  run(pair, command('bob', { t: 'send', m: 'm1', text: 'hi' }))
  const { writers: _writers, ...older } = JSON.parse(Buffer.from(serialiseConversation(pair)).toString())
  const read = deserialiseConversation(c, Buffer.from(JSON.stringify(older)), 5)
  t.same([...read.writers], ['bob'], 'a direct conversation: the writers of recent messages')
})

t.test('a full channel: the user who accepts follows it, and the invitation ends', async t => {
  const log = new MemoryEventLog()
  const nodes = [await setUp({ log, limits: { channelMembers: 2 } }), await setUp({ log })]
  const [node] = nodes
  const ask = (from: string, request: Asked) => node!.as(from, request)
  await ask('alice', { t: 'create', c, kind: 'channel', members: ['bob'] })
  await ask('zoe', { t: 'privacy', invitations: 'contacts' })
  t.same(await ask('alice', { t: 'invite', c, user: 'zoe' }), { seq: 2, pending: true })
  const accepted = await ask('zoe', { t: 'accept', c, key: 'a' })
  t.same(accepted, { seq: 3 })
  t.same(await ask('zoe', { t: 'accept', c, key: 'a' }), accepted, 'a retry')
  t.same(
    log.stream('USER_0').map(({ envelope: { type } }) => type),
    ['privacy.changed', 'channel.followed'],
  )
  t.match(JSON.parse(Buffer.from(log.stream('CONV_0').at(-1)!.data).toString()), {
    type: 'member.uninvited',
    user: 'zoe',
    accepted: true,
  })
  await ask('zoe', { t: 'leave', c })
  await ask('zoe', { t: 'privacy', invitations: 'everybody' })
  t.same(
    await ask('alice', { t: 'invite', c, user: 'zoe' }),
    { seq: 4, pending: true },
    'a follower that left',
  )
  await ask('zoe', { t: 'join', c })
  t.equal((await node!.states.currentConversation(c))?.invitationOf('zoe'), undefined, 'a join accepts')
})

t.test('a follower that left before a snapshot recorded it is asked after the upgrade', async t => {
  const log = new MemoryEventLog()
  const snapshots = new MemorySnapshotStore()
  const limits = { channelMembers: 2, snapshotEvery: 1 }
  const before = await setUp({ log, snapshots, limits })
  await before.as('alice', { t: 'create', c, kind: 'channel', members: ['bob'] })
  await before.as('zoe', { t: 'join', c })
  await before.as('zoe', { t: 'leave', c })
  const zoe = { family: 'user', id: 'zoe' } as const
  // Enough events that a snapshot is worth its bytes.
  for (let n = 0; n < 8; n++) await before.as('zoe', { t: 'block', user: 'mallory', on: n % 2 === 0 })
  const snapshot = (await snapshots.load(zoe))!
  const {
    unfollowed,
    invitations: _,
    ...older
  } = JSON.parse(Buffer.from(snapshot.data).toString()) as Record<string, unknown>
  t.same(unfollowed, [c])
  await snapshots.save(zoe, { ...snapshot, version: 4, data: Buffer.from(JSON.stringify(older)) })
  const after = await setUp({ log, snapshots, limits })
  t.match(await after.as('alice', { t: 'invite', c, user: 'zoe' }), { pending: true })
})

t.test('another node sees an acknowledged setting and block at once', async t => {
  const log = new MemoryEventLog()
  const [one, other] = [await setUp({ log }), await setUp({ log })]
  await one.as('alice', { t: 'create', c, kind: 'group', members: [] })
  for (let n = 0; n < 20; n++) {
    const user = `u${n}`
    // The other node has the user cached, and receives the setting late.
    await other.as(user, { t: 'privacy' })
    await one.as(user, { t: 'privacy', invitations: 'contacts' })
    t.match(await other.as('alice', { t: 'invite', c, user }), { pending: true })
    await other.as(`v${n}`, { t: 'privacy' })
    await one.as(`v${n}`, { t: 'block', user: 'alice', on: true })
    await t.rejects(other.as('alice', { t: 'invite', c, user: `v${n}` }), { code: 'FORBIDDEN' })
  }
})

t.test('two users who are alone: a block refuses all that reaches the other one', async t => {
  for (const kind of ['group', 'channel'] as const) {
    const log = new MemoryEventLog()
    const node = await setUp({ log, limits: { channelMembers: 4 } })
    const code = (from: string, request: Asked) =>
      node.as(from, request).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      )
    await node.as('mallory', { t: 'create', c, kind, members: ['victim', 'third'] })
    await node.as('mallory', { t: 'send', c, m: 'm1', text: 'x' })
    await node.as('mallory', { t: 'ban', c, user: 'banned' })
    await node.as('waiting', { t: 'privacy', invitations: 'contacts' })
    t.match(await node.as('mallory', { t: 'invite', c, user: 'waiting' }), { pending: true })
    await node.as('victim', { t: 'block', user: 'mallory', on: true })
    const reaching: Asked[] = [
      { t: 'send', c, m: 'm2', text: 'x' },
      { t: 'edit', c, m: 'm1', text: 'y' },
      { t: 'react', c, m: 'm1', emoji: '👍', on: true },
      { t: 'rename', c, title: 'a message' },
      { t: 'settings', c, data: { a: 'message' } },
      { t: 'invite', c, user: 'puppet' },
      { t: 'remove', c, user: 'waiting' },
      { t: 'ban', c, user: 'a-message-in-an-id' },
      { t: 'unban', c, user: 'banned' },
    ]
    t.equal(await code('mallory', { t: 'send', c, m: 'm3', text: 'three users' }), 'ok')
    await node.as('third', { t: 'leave', c })
    for (const request of reaching)
      t.equal(await code('mallory', request), 'FORBIDDEN', `${kind} ${request.t}`)
    t.equal(await code('victim', { t: 'send', c, m: 'v1', text: 'x' }), 'FORBIDDEN', 'in both directions')
    t.equal(await code('mallory', { t: 'ban', c, user: 'victim' }), 'ok', 'the other user itself')
    t.equal(await code('mallory', { t: 'unban', c, user: 'victim' }), 'ok')
    await node.as('victim', { t: 'block', user: 'mallory', on: false })
    t.equal(await code('mallory', { t: 'invite', c, user: 'victim' }), 'ok')
    for (const request of reaching) t.equal(await code('mallory', request), 'ok', `${kind} ${request.t}`)
  }
})

t.test(
  'a channel that may have followers is not silenced by a block between its last two members',
  async t => {
    const node = await setUp({ limits: { channelMembers: 2 } })
    await node.as('alice', { t: 'create', c, kind: 'channel', members: ['bob'] })
    await node.as('zoe', { t: 'join', c })
    await node.as('bob', { t: 'block', user: 'alice', on: true })
    t.match(await node.as('alice', { t: 'send', c, m: 'm1', text: 'to followers' }), { seq: 2 })
    const view = await node.states.conversation(c)
    t.equal(view?.companionOf('alice'), undefined, 'signals and markers reach them as well')
    const { log } = node
    const [feed, snapshots] = [new MemoryLiveFeed(log), new MemorySnapshotStore()]
    for (const channelMembers of [2, 3]) {
      const following = createFollowingStates({ log, feed, snapshots, limits: { channelMembers } })
      const alone = (await following.conversation(c))?.companionOf('alice')
      t.equal(alone, channelMembers === 2 ? undefined : 'bob', 'of an edge node')
    }
  },
)

t.test('a block counts between the two users of the state that the command is decided on', async t => {
  // A cache of one user: facts are in the command alone.
  for (const limits of [{}, { userBytes: 1 }]) {
    const log = new MemoryEventLog()
    const [one, other] = [await setUp({ log, limits }), await setUp({ log, limits })]
    const code = (request: Asked) =>
      one.as('alice', request).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      )
    await one.as('alice', { t: 'create', c, kind: 'channel', members: ['bob'] })
    await one.as('bob', { t: 'block', user: 'alice', on: true })
    t.equal(await code({ t: 'send', c, m: 'm1', text: 'x' }), 'FORBIDDEN')
    // The first node receives the changes of the other one after its own decision.
    await other.as('carol', { t: 'join', c })
    t.equal(await code({ t: 'send', c, m: 'm2', text: 'x' }), 'ok', 'a third user has joined')
    await one.as('carol', { t: 'leave', c })
    await one.as('bob', { t: 'block', user: 'alice', on: false })
    t.equal(await code({ t: 'send', c, m: 'm3', text: 'x' }), 'ok')
    await other.as('carol', { t: 'block', user: 'alice', on: true })
    await other.as('bob', { t: 'leave', c })
    await other.as('carol', { t: 'join', c })
    t.equal(await code({ t: 'send', c, m: 'm4', text: 'x' }), 'FORBIDDEN', 'another user has joined')
  }
})
