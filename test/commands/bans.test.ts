import fc from 'fast-check'
import t from 'tap'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import type { ConversationRequest, UserRequest } from '../../src/events/index.ts'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'
import { arbitraryUser, arbitraryWish } from './arbitrary-commands.ts'
import { at, c, codeOf, command, direct, given, group, run, type Wish, when } from './given.ts'
import { type Asked, setUp } from './one-node.ts'

const later = (ms: number): string => new Date(Date.parse(at) + ms).toISOString()
const ban = (user: string, until?: string) =>
  ({ t: 'ban', user, ...(until === undefined ? {} : { until }) }) as const

t.test('owners and admins ban members of a lower role, and users who are not members', async t => {
  for (const kind of ['group', 'channel'] as const) {
    const state = group(kind)
    t.same(when(state, 'adam', ban('mia')), {
      event: { t: 'event', c, seq: 3, type: 'member.banned', from: 'adam', at, user: 'mia' },
    })
    t.match(when(state, 'alice', ban('adam', later(1))), { event: { user: 'adam', until: later(1) } })
    t.match(when(state, 'adam', ban('nina')), { event: { user: 'nina' } }, 'in advance')
    for (const [from, user] of [
      ['adam', 'alice'],
      ['adam', 'adam'],
      ['alice', 'alice'],
      ['mia', 'max'],
      ['mia', 'nina'],
    ] as const) {
      t.equal(codeOf(when(state, from, ban(user))), 'FORBIDDEN', `${from} ${user}`)
      if (from === 'mia') t.equal(codeOf(when(state, from, { t: 'unban', user })), 'FORBIDDEN')
    }
    t.equal(codeOf(when(state, 'nina', ban('mia'))), kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER')
    t.equal(
      codeOf(when(state, 'nina', { t: 'unban', user: 'mia' })),
      kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER',
    )
  }
  for (const wish of [ban('bob'), ban('eve'), { t: 'unban', user: 'eve' }] as const)
    t.equal(codeOf(when(direct(), 'alice', wish)), 'FORBIDDEN')
})

t.test('a ban ends the membership, and the user neither joins nor is added until it is lifted', async t => {
  for (const kind of ['group', 'channel'] as const) {
    const state = group(kind)
    run(state, command('alice', ban('mia')))
    t.notOk(state.members.has('mia'))
    const stranger = kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER'
    for (const wish of [
      { t: 'send', m: 'm1', text: 'hi' },
      { t: 'leave' },
      { t: 'rename', title: 'x' },
    ] as const)
      t.equal(codeOf(when(state, 'mia', wish)), stranger, `${wish.t}: as any other stranger`)
    t.same(
      when(state, 'mia', { t: 'join' }),
      kind === 'group'
        ? {
            refused: 'NOT_FOUND',
            message: 'This conversation does not exist, or you are not a member of it.',
          }
        : { refused: 'BANNED' },
    )
    for (const wish of [
      { t: 'invite', user: 'mia' },
      { t: 'role', user: 'mia', role: 'admin' },
    ] as const)
      t.match(when(state, 'alice', wish), { refused: 'BANNED', field: '/user', until: undefined })
    t.equal(codeOf(when(state, 'alice', ban('mia'))), 'unchanged')
    t.equal(codeOf(when(state, 'alice', { t: 'remove', user: 'mia' })), 'unchanged')
    t.match(run(state, command('adam', { t: 'unban', user: 'mia' })), {
      event: { type: 'member.unbanned', user: 'mia', from: 'adam' },
    })
    t.equal(codeOf(when(state, 'adam', { t: 'unban', user: 'mia' })), 'unchanged')
    t.equal(codeOf(when(state, 'alice', { t: 'invite', user: 'mia' })), 'member.joined')
  }
})

t.test('the time of the command decides whether a ban has ended', async t => {
  const state = group('channel')
  for (const until of [at, later(-1), '2000-01-01T00:00:00.000Z'])
    t.match(when(state, 'alice', ban('mia', until)), { refused: 'BAD_REQUEST', field: '/until' })
  run(state, command('alice', ban('mia', later(1_000))))
  const join = (ms: number) => when(state, 'mia', { t: 'join' }, { at: later(ms) })
  t.same(join(999), { refused: 'BANNED', until: later(1_000) })
  t.same(join(-60_000), { refused: 'BANNED', until: later(1_000) }, 'a clock that is behind')
  t.equal(codeOf(join(1_000)), 'member.joined')
  t.equal(codeOf(when(state, 'alice', { t: 'invite', user: 'mia' }, { at: later(1_000) })), 'member.joined')
  t.equal(codeOf(when(state, 'alice', { t: 'unban', user: 'mia' }, { at: later(1_000) })), 'unchanged')
  t.match(
    run(state, command('alice', ban('mia', later(2_000)))),
    { event: { until: later(2_000) } },
    'longer',
  )
  t.match(join(1_999), { until: later(2_000) })
  t.match(run(state, command('alice', ban('mia'))), { event: { type: 'member.banned' } }, 'without an end')
  t.same(join(1e10), { refused: 'BANNED' })
  t.match(
    run(state, command('alice', ban('mia', later(1_000)))),
    { event: { until: later(1_000) } },
    'shorter',
  )
  t.equal(codeOf(join(1_000)), 'member.joined')
})

t.test('a retry of a ban with its key gets the first answer, and bans no user twice', async t => {
  const state = group('channel')
  const once = command('alice', ban('mia'))
  run(state, once)
  run(state, command('alice', { t: 'unban', user: 'mia' }))
  t.same(run(state, once), { unchanged: { seq: 3 }, done: true })
  t.equal(codeOf(when(state, 'mia', { t: 'join' })), 'member.joined')
  t.equal(codeOf(run(state, { ...command('alice', ban('max')), id: once.id })), 'CONFLICT')
})

t.test('a conversation has a bounded number of bans; those that have ended do not count', async t => {
  const state = group('channel')
  const limits = { bans: 3 }
  const add = (user: string, until?: string, ms = 0) =>
    codeOf(run(state, command('alice', ban(user, until), { limits, at: later(ms) })))
  t.equal(add('u1', later(1_000)), 'member.banned')
  t.equal(add('u2'), 'member.banned')
  t.equal(add('u3'), 'member.banned')
  t.match(when(state, 'alice', ban('u4'), { limits }), { refused: 'CONFLICT', field: '/user' })
  t.equal(add('u3', later(5_000)), 'member.banned', 'a ban that is there may change')
  t.equal(add('u4', undefined, 1_000), 'member.banned', 'u1 may return')
  t.same([...state.bans.keys()].sort(), ['u2', 'u3', 'u4'], 'an ended ban is dropped')
  t.equal(add('u5', undefined, 1_000), 'CONFLICT')
  run(state, command('alice', { t: 'unban', user: 'u2' }, { at: later(5_000) }))
  t.same([...state.bans.keys()], ['u4'])
})

t.test('snapshots and forks have the bans', async t => {
  const state = group('channel')
  run(state, command('alice', ban('mia', later(1_000))))
  run(state, command('alice', ban('nina')))
  run(state, command('alice', { t: 'settings', archived: true }))
  const bytes = conversationType.serialise(state)
  t.same(conversationType.deserialise(c, bytes, conversationType.snapshotVersion), state)
  const fork = conversationType.fork(state, 2)
  run(fork, command('alice', { t: 'unban', user: 'nina' }))
  run(fork, command('alice', ban('max')))
  t.ok(fork.bans.has('max') && !fork.bans.has('nina'))
  t.ok(state.bans.has('nina') && state.members.has('max'), 'the original is unchanged')
})

t.test('a banned user is never a member, whatever the members do', async t => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(arbitraryUser, arbitraryWish, fc.nat({ max: 5_000 })), {
        maxLength: 80,
        size: 'max',
      }),
      steps => {
        const state = given(['alice', { t: 'create', kind: 'channel', members: ['bob', 'carol'] }])
        const bans = new Map<string, string>()
        let now = 0
        for (const [from, wish, ms] of steps) {
          now += ms
          const wanted: Wish = wish.t === 'ban' ? { ...wish, until: later(now + 10_000) } : wish
          const decision = run(state, command(from, wanted, { at: later(now) }))
          if (!('event' in decision)) continue
          const { event } = decision
          if (event.type === 'member.banned') bans.set(event.user, event.until ?? '')
          else if (event.type === 'member.unbanned') bans.delete(event.user)
          for (const [user, until] of bans)
            if (until > later(now) && state.members.has(user))
              throw new Error(`${user} is banned until ${until}`)
        }
      },
    ),
    { numRuns: 300 },
  )
  t.pass()
})

const limits = { channelMembers: 2 }
const channel: Asked = { t: 'create', c, kind: 'channel', members: ['adam'] }
const codeIn =
  (as: (from: string, request: Asked) => Promise<unknown>) =>
  (from: string, request: Asked): Promise<unknown> =>
    as(from, request).then(
      () => 'ok',
      (error: { code: string; until?: string }) => error.code,
    )

t.test('a follower is banned in both logs, and a banned user does not become a follower', async t => {
  const log = new MemoryEventLog()
  const node = await setUp({ log, limits })
  const { as, states } = node
  const code = codeIn(as)
  await as('alice', channel)
  for (const user of ['zoe', 'zed']) await as(user, { t: 'join', c })
  t.equal(await code('zoe', { ...ban('zed'), c }), 'FORBIDDEN')
  t.same(await as('alice', { ...ban('zoe'), c, key: 'k' }), { seq: 2 })
  t.equal((await states.currentUser('zoe')).follows(c), false)
  t.equal((await states.currentConversation(c))?.isBanned('zoe'), true)
  t.same((await states.currentConversation(c))?.bans(), [{ user: 'zoe' }])
  t.equal(await code('zoe', { t: 'send', c, m: 'm1', text: 'x' }), 'NOT_MEMBER')
  t.equal(await code('zoe', { t: 'join', c }), 'BANNED')
  t.equal(await code('alice', { t: 'invite', c, user: 'zoe' }), 'BANNED')
  t.equal(await code('alice', { t: 'role', c, user: 'zoe', role: 'admin' }), 'BANNED')
  t.equal((await states.currentUser('zoe')).follows(c), false)
  t.equal((await states.currentUser('zed')).follows(c), true)
  await as('alice', { t: 'unban', c, user: 'zoe' })
  await as('zoe', { t: 'join', c })
  t.same(await as('alice', { ...ban('zoe'), c, key: 'k' }), { seq: 2 }, 'a late retry of the first ban')
  t.equal((await states.currentUser('zoe')).follows(c), true, 'does not end the membership')
  await as('alice', { ...ban('nina'), c })
  t.equal(await code('nina', { t: 'join', c }), 'BANNED', 'banned in advance')
})

t.test('two nodes: a ban and a join at once never leave a banned follower', async t => {
  for (let round = 0; round < 40; round++) {
    const log = new MemoryEventLog()
    const [one, other] = [await setUp({ log, limits }), await setUp({ log, limits })]
    await one.as('alice', channel)
    // The other node has the channel cached, and receives the ban late.
    await other.as('adam', { t: 'send', c, m: 'm1', text: 'x' })
    const joins = Array.from({ length: 1 + (round % 3) }, () => codeIn(other.as)('zoe', { t: 'join', c }))
    const pause = async () => {
      for (let i = 0; i < round; i++) await Promise.resolve()
    }
    const [first] = await Promise.all([
      Promise.all(joins),
      pause().then(() => one.as('alice', { ...ban('zoe'), c })),
    ])
    t.ok(first.every(code => code === 'ok' || code === 'BANNED'))
    t.equal((await one.states.currentUser('zoe')).follows(c), false, `round ${round}`)
    t.equal(await codeIn(other.as)('zoe', { t: 'join', c }), 'BANNED')
    t.equal((await one.states.currentUser('zoe')).follows(c), false, `round ${round}, later`)
  }
})

/** Returns a log whose appends to the log of a user wait for `gate`. */
const delayed = (log: MemoryEventLog, user: string, gate: () => Promise<unknown>): MemoryEventLog =>
  new Proxy(log, {
    get: (target, key) => {
      const value = Reflect.get(target, key) as unknown
      if (typeof value !== 'function') return value
      if (key !== 'append') return value.bind(target)
      return async (...args: Parameters<MemoryEventLog['append']>) => {
        if (args[0].id === user) await gate()
        return await target.append(...args)
      }
    },
  })

t.test('a join that was decided before a ban, and is stored after it, has no effect', async t => {
  const log = new MemoryEventLog()
  const one = await setUp({ log, limits })
  const { promise: deciding, resolve: decided } = Promise.withResolvers<void>()
  const { promise: banned, resolve: proceed } = Promise.withResolvers<void>()
  const gate = () => {
    decided()
    return banned
  }
  const other = await setUp({ log: delayed(log, 'zoe', gate), limits })
  await one.as('alice', channel)
  const joining = codeIn(other.as)('zoe', { t: 'join', c })
  await deciding
  await one.as('alice', { ...ban('zoe'), c })
  proceed()
  t.equal(await joining, 'BANNED')
  t.same(
    log.stream('USER_0').map(({ envelope }) => envelope.type),
    ['channel.followed', 'channel.unfollowed'],
  )
  t.equal((await one.states.currentUser('zoe')).follows(c), false)
})

t.test('hiding is the user’s own: until a later event, and again', async t => {
  const log = new MemoryEventLog()
  const node = await setUp({ log })
  const as = (from: string, request: Asked) => node.as(from, request) as Promise<{ c: string }>
  const { c: pair } = await as('alice', { t: 'direct', user: 'bob' })
  const types = () =>
    log
      .stream('USER_0')
      .filter(({ aggregate }) => aggregate.id === 'bob')
      .map(({ envelope }) => envelope.type)
  const hide = (on: boolean): ConversationRequest | UserRequest => ({ id: '1', t: 'hide', c: pair, on })
  t.same(await as('bob', hide(false)), {})
  t.same(types(), [], 'it is shown')
  await as('bob', hide(true))
  await as('bob', hide(true))
  t.same(types(), ['conversation.hidden'], 'once')
  await as('alice', { t: 'send', c: pair, m: 'm1', text: 'hi' })
  await as('bob', hide(true))
  t.same(types(), ['conversation.hidden', 'conversation.hidden'], 'again, after a message')
  t.same((await as('bob', { t: 'direct', user: 'alice' })).c, pair, 'the same conversation')
  t.same(types().at(-1), 'conversation.unhidden', 'opening it shows it')
  await as('bob', { t: 'direct', user: 'alice' })
  t.equal(types().length, 3)
  t.equal(await codeIn(node.as)('eve', hide(true)), 'NOT_FOUND')
  const other = await setUp({ log })
  await as('alice', { t: 'send', c: pair, m: 'm2', text: 'ho' })
  await other.as('bob', hide(true))
  t.match(
    JSON.parse(Buffer.from(log.stream('USER_0').at(-1)!.data).toString()),
    { head: 3 },
    'the current head',
  )
})
