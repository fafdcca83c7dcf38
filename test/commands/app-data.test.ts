import t from 'tap'
import { emptyConversation } from '../../src/commands/domain/conversation-state.ts'
import { conversationType } from '../../src/commands/domain/conversation-type.ts'
import { emptyUser, evolveUser, userType } from '../../src/commands/domain/user-state.ts'
import { at, c, codeOf, command, direct, given, group, run, when } from './given.ts'

const data = { list: [1, { b: 'x', a: null }] }
const reordered = { list: [1, { a: null, b: 'x' }] }

t.test('a message has the data of its send; an edit replaces, removes or keeps it', async t => {
  const state = group()
  t.match(run(state, command('mia', { t: 'send', m: 'm1', text: 'hi', data })), { event: { data } })
  for (const wish of [{ data: {} }, {}]) {
    const decision = when(state, 'mia', { t: 'send', m: 'm2', text: 'hi', ...wish })
    t.ok('event' in decision && !('data' in decision.event))
  }
  const edit = (wish: object) => when(state, 'mia', { t: 'edit', m: 'm1', text: 'ho', ...wish })
  t.match(edit({ data: { a: 1 } }), { event: { type: 'message.edited', data: { a: 1 } } })
  t.match(edit({ data: null }), { event: { data: null } })
  t.match(edit({ data: {} }), { event: { data: null } })
  const kept = edit({})
  t.ok('event' in kept && !('data' in kept.event))
})

t.test('a repeated command with other data is a conflict; the order of keys does not matter', async t => {
  const state = group()
  const send = (wish: object) => command('mia', { t: 'send', m: 'm1', text: 'hi', ...wish })
  run(state, send({ data }))
  t.match(when(state, 'mia', { t: 'send', m: 'm1', text: 'hi', data: reordered }), { unchanged: { seq: 3 } })
  for (const wish of [{}, { data: {} }, { data: { list: [] } }])
    t.equal(codeOf(run(state, send(wish))), 'CONFLICT')

  const repeat = (first: object, second: object) => {
    const id = `k-${JSON.stringify([first, second])}`
    const of = (wish: object) => command('alice', { t: 'edit', m: 'a1', text: 'x', ...wish }, { id })
    t.equal(codeOf(run(state, of(first))), 'message.edited')
    return codeOf(run(state, of(second)))
  }
  run(state, command('alice', { t: 'send', m: 'a1', text: 'hi' }))
  t.equal(repeat({ data }, { data: reordered }), 'unchanged')
  t.equal(repeat({ data: null }, { data: {} }), 'unchanged')
  t.equal(repeat({ data: null }, {}), 'CONFLICT')
  t.equal(repeat({}, { data: null }), 'CONFLICT')
  t.equal(repeat({ data }, { data: { list: 1 } }), 'CONFLICT')

  const settings = (first: object, second: object) => {
    const id = `s-${JSON.stringify([first, second])}`
    const of = (wish: object) => command('alice', { t: 'settings', ...wish }, { id })
    t.equal(codeOf(run(state, of(first))), 'conversation.settings_changed')
    return codeOf(run(state, of(second)))
  }
  t.equal(settings({ data, slowModeSeconds: 21_600 }, { data: reordered }), 'unchanged')
  t.equal(settings({ data, slowModeSeconds: 0 }, { data: reordered, slowModeSeconds: 0 }), 'unchanged')
  t.equal(settings({ data: { a: 1 } }, { data }), 'CONFLICT')
  t.equal(settings({ data: null }, { data: {} }), 'unchanged')
  t.equal(settings({ posting: 'staff' }, { posting: 'staff', data: null }), 'CONFLICT')
  t.equal(settings({ posting: 'everybody', data: {} }, { posting: 'everybody' }), 'CONFLICT')

  const create = (wish: object) =>
    command('alice', { t: 'create', kind: 'group', members: [], ...wish }, { id: 'create' })
  const fresh = emptyConversation(c)
  t.match(run(fresh, create({ data })), { event: { data } })
  t.equal(codeOf(run(fresh, create({ data: reordered }))), 'unchanged')
  t.equal(codeOf(run(fresh, create({}))), 'CONFLICT')
})

t.test('a conversation has the data of its creation until the staff changes it', async t => {
  const state = given(
    ['alice', { t: 'create', kind: 'group', members: ['mia'], data }],
    ['alice', { t: 'settings', slowModeSeconds: 10 }],
  )
  t.same(state.data, data)
  const set = (from: string, wish: object) => run(state, command(from, { t: 'settings', ...wish }))
  t.equal(codeOf(set('mia', { data: null })), 'FORBIDDEN')
  t.same(set('alice', { data: reordered }), { unchanged: { seq: 2 } })
  t.match(set('alice', { data: { a: 1 } }), {
    event: { posting: 'everybody', slowModeSeconds: 10, data: { a: 1 } },
  })
  t.same(state.data, { a: 1 })
  const fork = conversationType.fork(state, 1)
  run(fork, command('alice', { t: 'settings', data: {} }))
  t.equal(fork.data, undefined)
  t.same(state.data, { a: 1 }, 'the original is unchanged')
  t.equal(codeOf(when(direct(), 'alice', { t: 'settings', data })), 'FORBIDDEN')
})

t.test('snapshots keep data; those of versions without it are read', async t => {
  const state = given(['alice', { t: 'create', kind: 'group', members: [], data }])
  const bytes = conversationType.serialise(state)
  t.same(conversationType.deserialise(c, bytes, conversationType.snapshotVersion), state)
  const pair = conversationType.serialise(direct())
  t.match(conversationType.deserialise(c, pair, 4), { data: undefined, archived: false })
  t.ok(
    conversationType.bytes(state) >
      conversationType.bytes(given(['alice', { t: 'create', kind: 'group', members: [] }])),
    'data counts towards the memory of the cache',
  )

  const mia = emptyUser('mia')
  evolveUser(
    mia,
    { u: 'mia', seq: 1, type: 'profile.changed', at, data },
    { stream: 'USER_0', streamSeq: 1, commandId: 'x' },
  )
  const snapshot = userType.serialise(mia)
  t.same(userType.deserialise('mia', snapshot, userType.snapshotVersion), mia)
  t.ok(userType.bytes(mia) > userType.bytes(emptyUser('mia')))
})
