import t from 'tap'
import { v7 } from 'uuid'
import { emptyConversation, joinedAt } from '../../src/commands/domain/conversation-state.ts'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import { slowModeMembers } from '../../src/commands/domain/slow-mode.ts'
import { at, c, codeOf, command, direct, evolve, given, group, run, when } from './given.ts'

const later = (ms: number): string => new Date(Date.parse(at) + ms).toISOString()
const send = (m: string) => ({ t: 'send', m, text: 'hi' }) as const

t.test('owner and admins set the posting rules; repeating them changes nothing', async t => {
  const state = group('channel')
  const wish = { t: 'settings', posting: 'staff', slowModeSeconds: 30 } as const
  t.same(when(state, 'adam', wish), {
    event: {
      t: 'event',
      c,
      seq: 3,
      type: 'conversation.settings_changed',
      from: 'adam',
      at,
      posting: 'staff',
      slowModeSeconds: 30,
      archived: false,
      historyFrom: 'start',
    },
  })
  t.equal(codeOf(when(state, 'mia', wish)), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'eve', wish)), 'NOT_MEMBER')
  t.equal(codeOf(when(group(), 'eve', wish)), 'NOT_FOUND')
  t.equal(codeOf(when(direct(), 'alice', wish)), 'FORBIDDEN')
  run(state, command('alice', wish))
  t.same(when(state, 'alice', wish), { unchanged: { seq: 3 } })
  t.same(when(state, 'alice', { t: 'settings' }), { unchanged: { seq: 3 } })
  t.match(when(state, 'alice', { t: 'settings', posting: 'everybody' }), {
    event: { posting: 'everybody', slowModeSeconds: 30 },
  })
})

t.test('owner and admins set what members may read; events that lack the setting leave it', async t => {
  const state = group()
  t.equal(state.historyFrom, 'start')
  run(state, command('adam', { t: 'settings', historyFrom: 'join' }))
  t.equal(state.historyFrom, 'join')
  t.match(when(state, 'alice', { t: 'settings', posting: 'staff' }), { event: { historyFrom: 'join' } })
  t.same(when(state, 'alice', { t: 'settings', historyFrom: 'join' }), { unchanged: { seq: 3 } })
  // As a build without the setting writes it.
  const old = { posting: 'staff', slowModeSeconds: 0, from: 'alice', at } as const
  evolve(state, { t: 'event', c, seq: 4, type: 'conversation.settings_changed', ...old }, 'x')
  t.equal(state.historyFrom, 'join')
  const created = given(['alice', { t: 'create', kind: 'channel', members: [], historyFrom: 'join' }])
  t.equal(created.historyFrom, 'join')
  const members = ['bob']
  const wish = { t: 'create', kind: 'direct', members, historyFrom: 'join' } as const
  t.match(when(emptyConversation('d'), 'alice', wish), { refused: 'BAD_REQUEST', field: '/historyFrom' })
})

t.test('a state knows the latest joining of each member, also after a snapshot', async t => {
  const state = group()
  run(state, command('alice', { t: 'invite', user: 'bob' }))
  run(state, command('alice', { t: 'role', user: 'bob', role: 'admin' }))
  run(state, command('bob', { t: 'leave' }))
  run(state, command('alice', { t: 'invite', user: 'bob' }))
  run(state, command('bob', { t: 'accept' }))
  const { serialise, deserialise, snapshotVersion } = conversationType
  const restored = deserialise(c, serialise(state), snapshotVersion)
  for (const one of [state, restored])
    t.same(
      ['alice', 'mia', 'bob', 'eve'].map(user => joinedAt(one, user)),
      [1, 1, 7, undefined],
    )
  t.throws(() => deserialise(c, serialise(state), 4), /rebuilt from the log/)
  t.equal(deserialise(c, serialise(direct()), 4).amended, 0)
})

t.test(
  'where only staff posts, plain members do not send or edit; they react, and delete their own messages',
  async t => {
    const state = group('channel')
    run(state, command('mia', send('m1')))
    run(state, command('alice', { t: 'settings', posting: 'staff' }))
    t.equal(codeOf(when(state, 'mia', send('m2'))), 'FORBIDDEN')
    t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'm1', text: 'x' })), 'FORBIDDEN')
    t.equal(codeOf(when(state, 'mia', send('m1'))), 'unchanged', 'a repeated message is already there')
    t.equal(codeOf(when(state, 'max', { t: 'react', m: 'm1', emoji: '👍', on: true })), 'reaction.added')
    t.equal(codeOf(when(state, 'mia', { t: 'delete', m: 'm1' })), 'message.deleted')
    for (const staff of ['alice', 'adam']) t.equal(codeOf(when(state, staff, send('m2'))), 'message.posted')
    run(state, command('alice', { t: 'settings', posting: 'everybody' }))
    t.equal(codeOf(when(state, 'mia', send('m2'))), 'message.posted')
  },
)

t.test('in slow mode a plain member posts once per interval; staff is exempt', async t => {
  const state = group('channel')
  run(state, command('mia', send('m0')))
  run(state, command('alice', { t: 'settings', slowModeSeconds: 30 }))
  t.equal(codeOf(run(state, command('mia', send('m1')))), 'message.posted', 'earlier messages do not count')
  const decideAt = (from: string, ms: number) => when(state, from, send('m2'), { at: later(ms) })
  t.match(decideAt('mia', 12_000), { refused: 'RATE_LIMITED', retryAfterMs: 18_000 })
  t.match(decideAt('mia', 29_999), { refused: 'RATE_LIMITED', retryAfterMs: 1 })
  t.match(decideAt('mia', -60_000), { retryAfterMs: 30_000 }, 'clocks of nodes differ')
  t.equal(codeOf(decideAt('mia', 30_000)), 'message.posted')
  t.equal(codeOf(decideAt('max', 0)), 'message.posted', 'each member has an interval of its own')
  t.same(when(state, 'mia', send('m1'), { at: later(1) }), {
    unchanged: { seq: 5, at, duplicate: true },
    done: true,
  })
  t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'm1', text: 'x' })), 'message.edited')
  for (const m of ['a1', 'a2']) t.equal(codeOf(run(state, command('adam', send(m)))), 'message.posted')
  run(state, command('alice', { t: 'settings', slowModeSeconds: 60 }))
  t.match(decideAt('mia', 30_000), { retryAfterMs: 30_000 }, 'known times are kept when the interval changes')
  run(state, command('alice', { t: 'settings', slowModeSeconds: 0 }))
  t.equal(codeOf(decideAt('mia', 0)), 'message.posted')
})

t.test('slow mode remembers a bounded number of members for the interval; a snapshot keeps it', async t => {
  const many = slowModeMembers + 10
  const members = Array.from({ length: many }, (_, i) => `u${i}`)
  const state = given(
    ['alice', { t: 'create', kind: 'channel', members }],
    ['alice', { t: 'settings', slowModeSeconds: 60 }],
  )
  // Ids that carry their time need no look-up.
  for (const user of members) run(state, command(user, send(v7())))
  t.equal(state.slowMode?.posted.size, slowModeMembers)
  t.equal(codeOf(when(state, 'u0', send(v7()))), 'message.posted', 'forgotten')
  const restored = conversationType.deserialise(
    c,
    conversationType.serialise(state),
    conversationType.snapshotVersion,
  )
  t.same(restored, state)
  const last = `u${many - 1}`
  t.equal(codeOf(when(restored, last, send(v7()))), 'RATE_LIMITED')
  const fork = conversationType.fork(state, 1)
  run(fork, command('u0', send(v7()), { at: later(60_000) }))
  t.equal(fork.slowMode?.posted.size, 1, 'all others had expired')
  t.equal(state.slowMode?.posted.size, slowModeMembers, 'the original is unchanged')
})

t.test(
  'nothing is posted in an archived conversation; deleting, leaving and managing it stay possible',
  async t => {
    for (const kind of ['group', 'channel'] as const) {
      const state = group(kind)
      run(state, command('mia', send('m1')))
      const edited = command('mia', { t: 'edit', m: 'm1', text: 'ho' })
      run(state, edited)
      t.equal(codeOf(when(state, 'mia', { t: 'settings', archived: true })), 'FORBIDDEN')
      t.match(run(state, command('adam', { t: 'settings', archived: true })), {
        event: { type: 'conversation.settings_changed', archived: true, posting: 'everybody' },
      })
      t.equal(codeOf(when(state, 'adam', { t: 'settings', archived: true })), 'unchanged')
      for (const from of ['alice', 'adam', 'mia']) {
        t.equal(codeOf(when(state, from, send('m2'))), 'ARCHIVED')
        t.equal(codeOf(when(state, from, send('m2'), { isImported: true })), 'ARCHIVED')
        t.equal(codeOf(when(state, from, { t: 'edit', m: 'm1', text: 'x' })), 'ARCHIVED')
        for (const on of [true, false])
          t.equal(codeOf(when(state, from, { t: 'react', m: 'm1', emoji: '👍', on })), 'ARCHIVED')
      }
      t.equal(codeOf(when(state, 'eve', send('m2'))), kind === 'group' ? 'NOT_FOUND' : 'NOT_MEMBER')
      t.match(when(state, 'mia', send('m1')), { unchanged: { duplicate: true } }, 'a repeated message')
      t.match(run(state, edited), { unchanged: {} }, 'a repeated edit')
      const possible = [
        ['mia', { t: 'delete', m: 'm1' }],
        ['mia', { t: 'leave' }],
        ['alice', { t: 'remove', user: 'mia' }],
        ['alice', { t: 'ban', user: 'mia' }],
        ['alice', { t: 'invite', user: 'nina' }],
        ['alice', { t: 'role', user: 'mia', role: 'admin' }],
        ['alice', { t: 'rename', title: 'Old tea' }],
      ] as const
      for (const [from, wish] of possible) t.ok('event' in when(state, from, wish), wish.t)
      t.match(run(state, command('alice', { t: 'settings', posting: 'staff' })), {
        event: { archived: true },
      })
      t.equal(codeOf(when(state, 'alice', send('m2'))), 'ARCHIVED', 'other settings leave it archived')
      run(state, command('alice', { t: 'settings', archived: false }))
      t.equal(codeOf(when(state, 'alice', send('m2'))), 'message.posted')
    }
    t.equal(codeOf(when(direct(), 'alice', { t: 'settings', archived: true })), 'FORBIDDEN')
  },
)

t.test('settings of a build that knows no archived conversations leave them archived', async t => {
  const state = group()
  run(state, command('alice', { t: 'settings', archived: true }))
  const seq = state.seq + 1
  const event = { t: 'event', c, seq, from: 'alice', at, posting: 'staff', slowModeSeconds: 0 } as const
  evolve(state, { ...event, type: 'conversation.settings_changed' }, 'older')
  t.match(state, { archived: true, posting: 'staff' })
})
