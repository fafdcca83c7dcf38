import t from 'tap'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'
import { type Asked, setUp } from './one-node.ts'

const c = 'c1'
const limits = { channelMembers: 3 }
const channel: Asked = { t: 'create', c, kind: 'channel', members: ['adam', 'mia'] }
const send = (m: string) => ({ t: 'send', c, m, text: 'hi' }) as const

/** Creates a channel of alice, adam and mia whose log accepts no further members. */
const full = async (log = new MemoryEventLog()) => {
  const node = await setUp({ log, limits })
  await node.as('alice', channel)
  const code = async (from: string, request: Asked): Promise<unknown> =>
    node.as(from, request).then(
      () => 'ok',
      (error: { code: string }) => error.code,
    )
  const userEvents = () =>
    log.stream('USER_0').map(({ envelope: { type, actor }, aggregate: { id } }) => `${id} ${type} ${actor}`)
  const head = () => log.stream('CONV_0').filter(({ aggregate }) => aggregate.id === c).length
  return { ...node, code, userEvents, head }
}

t.test(
  'a user who joins a full channel follows it in an own log; the channel’s log is unchanged',
  async t => {
    const { as, code, states, userEvents, head } = await full()
    t.same(await as('zoe', { t: 'join', c }), { seq: 1 })
    t.same(await as('zoe', { t: 'join', c }), { seq: 1 }, 'once')
    t.same(await as('alice', { t: 'invite', c, user: 'zed' }), { seq: 1 })
    t.same(await as('alice', { t: 'invite', c, user: 'zed' }), { seq: 1 })
    t.equal(head(), 1)
    t.same(userEvents(), ['zoe channel.followed zoe', 'zed channel.followed alice'])
    t.equal((await states.conversation(c))?.memberCount, 3)
    t.equal((await states.currentUser('zoe')).follows(c), true)
    t.equal((await states.currentUser('eve')).follows(c), false)
    const ofTheStaff: Asked[] = [
      { t: 'invite', c, user: 'eve' },
      { t: 'remove', c, user: 'zed' },
      { t: 'role', c, user: 'zed', role: 'admin' },
      { t: 'rename', c, title: 'x' },
      { t: 'settings', c, posting: 'staff' },
      { t: 'ban', c, user: 'zed' },
      { t: 'unban', c, user: 'zed' },
    ]
    for (const request of ofTheStaff) {
      t.equal(await code('zoe', request), 'FORBIDDEN', `${request.t}: a follower has no staff rights`)
      t.equal(await code('eve', request), 'NOT_MEMBER', `${request.t}: a stranger is asked to join`)
    }
    t.equal(await code('mia', { t: 'invite', c, user: 'eve' }), 'FORBIDDEN')
  },
)

t.test('a follower has the rights of a plain member', async t => {
  const { as, code } = await full()
  await as('mia', send('m1'))
  await as('zoe', { t: 'join', c })
  t.match(await as('zoe', send('z1')), { seq: 3, duplicate: false })
  t.match(await as('zoe', send('z1')), { seq: 3, duplicate: true })
  await as('zoe', { t: 'edit', c, m: 'z1', text: 'ho' })
  await as('zoe', { t: 'react', c, m: 'm1', emoji: '👍', on: true })
  await as('zoe', { t: 'delete', c, m: 'z1' })
  t.same(await as('zoe', { t: 'read', c, seq: 4 }), { seq: 4 })
  t.same(await as('zoe', { t: 'mute', c, on: true }), {})
  t.equal(await code('zoe', { t: 'delete', c, m: 'm1' }), 'FORBIDDEN')
  await as('alice', { t: 'settings', c, slowModeSeconds: 60 })
  await as('zoe', send('z2'))
  t.equal(await code('zoe', send('z3')), 'RATE_LIMITED')
  await as('alice', { t: 'settings', c, posting: 'staff' })
  t.equal(await code('zoe', send('z3')), 'FORBIDDEN')
  for (const request of [
    send('e1'),
    { t: 'edit', c, m: 'm1', text: 'x' },
    { t: 'delete', c, m: 'm1' },
    { t: 'react', c, m: 'm1', emoji: '👍', on: true },
    { t: 'read', c, seq: 1 },
    { t: 'leave', c },
  ] as const)
    t.equal(await code('eve', request), 'NOT_MEMBER', request.t)
})

t.test('a follower who leaves or is removed becomes a stranger', async t => {
  const { as, code, userEvents, head } = await full()
  for (const user of ['zoe', 'zed']) await as(user, { t: 'join', c })
  t.same(await as('zoe', { t: 'leave', c }), { seq: 1 })
  t.equal(await code('mia', { t: 'remove', c, user: 'zed' }), 'FORBIDDEN')
  t.same(await as('alice', { t: 'remove', c, user: 'zed' }), { seq: 1 })
  t.same(await as('alice', { t: 'remove', c, user: 'zed' }), { seq: 1 }, 'nothing left to do')
  t.same(userEvents().slice(2), ['zoe channel.unfollowed zoe', 'zed channel.unfollowed alice'])
  for (const user of ['zoe', 'zed']) t.equal(await code(user, send(`m-${user}`)), 'NOT_MEMBER')
  t.equal(head(), 1)
  await as('mia', { t: 'leave', c })
  t.same(await as('zoe', { t: 'join', c }), { seq: 3 }, 'there is room in the channel’s log again')
  t.equal(head(), 3)
})

t.test('a role moves a follower into the channel’s log; leaving and removal concern both logs', async t => {
  const { as, code, states, userEvents } = await full()
  for (const user of ['zoe', 'zed']) await as(user, { t: 'join', c })
  t.equal(await code('alice', { t: 'role', c, user: 'eve', role: 'admin' }), 'NOT_FOUND')
  t.same(await as('alice', { t: 'role', c, user: 'zoe', role: 'member' }), { seq: 1 }, 'is one already')
  for (const [i, user] of ['zoe', 'zed'].entries())
    t.same(await as('alice', { t: 'role', c, user, role: 'admin' }), { seq: 2 + i })
  t.equal((await states.conversation(c))?.roleOf('zoe'), 'admin')
  await as('zoe', { t: 'settings', c, posting: 'staff' })
  await as('zoe', send('z1'))
  t.same(await as('zoe', { t: 'leave', c }), { seq: 6 })
  t.same(await as('alice', { t: 'remove', c, user: 'zed' }), { seq: 7 })
  t.same(userEvents().slice(2), ['zoe channel.unfollowed zoe', 'zed channel.unfollowed alice'])
  for (const user of ['zoe', 'zed']) {
    t.equal((await states.conversation(c))?.roleOf(user), undefined)
    t.equal(await code(user, send(`m-${user}`)), 'NOT_MEMBER')
  }
})

t.test('another node reads the log when it does not know a follower, or a former one', async t => {
  const log = new MemoryEventLog()
  const { as } = await full(log)
  const other = await setUp({ log, limits })
  await as('zoe', { t: 'join', c })
  // Its cached states are older: an unknown user is not refused without a look at the log.
  t.match(await other.as('zoe', send('z1')), { seq: 2 })
  await other.as('alice', { t: 'remove', c, user: 'zoe' })
  t.equal((await other.states.currentUser('zoe')).follows(c), false)
})

t.test('many concurrent joins all follow, and the channel’s log is unchanged', async t => {
  const { as, bus, userEvents, head } = await full()
  const users = Array.from({ length: 500 }, (_, i) => `u${i}`)
  const answers = await Promise.all(users.map(user => as(user, { t: 'join', c })))
  t.same(new Set(answers.map(answer => (answer as { seq: number }).seq)), new Set([1]))
  t.equal(userEvents().length, 500)
  t.equal(head(), 1)
  await bus.drain()
  t.equal(bus.load, 0)
})
