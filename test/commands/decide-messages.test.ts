import t from 'tap'
import { v7 } from 'uuid'
import { Limits } from '../../src/events/index.ts'
import { at, c, codeOf, command, direct, given, group, run, type Wish, when } from './given.ts'

const attachment = { mediaId: 'x', name: 'x.png', type: 'image/png', size: 1, sha256: 'a'.repeat(64) }

t.test('a member sends; messages are counted', async t => {
  const state = group()
  t.same(run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' })), {
    event: { t: 'event', c, seq: 3, type: 'message.posted', m: 'm1', n: 1, from: 'mia', at, text: 'hi' },
  })
  run(state, command('mia', { t: 'edit', m: 'm1', text: 'hello' }))
  t.match(
    when(state, 'max', { t: 'send', m: 'm2', text: 'ho', replyTo: 'gone', attachments: [attachment] }),
    { event: { seq: 5, n: 2, replyTo: 'gone', attachments: [attachment] } },
    'the message that it replies to may be deleted',
  )
  const empty = when(state, 'max', { t: 'send', m: 'm3', text: '', attachments: [] })
  t.notOk('event' in empty && 'attachments' in empty.event)
})

t.test(
  'a repeated message is the original one, whatever its text, also after its sender has left',
  async t => {
    const state = group()
    run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
    run(state, command('mia', { t: 'delete', m: 'm1' }))
    run(state, command('mia', { t: 'leave' }))
    const again = command('mia', { t: 'send', m: 'm1', text: 'other' }, { at: '2027-01-01T00:00:00.000Z' })
    t.same(run(state, again), { unchanged: { seq: 3, at, duplicate: true }, done: true })
    t.equal(codeOf(when(state, 'max', { t: 'send', m: 'm1', text: 'hi' })), 'CONFLICT', "another's")
  },
)

t.test('a text has at most 16 KiB of UTF-8', async t => {
  const send = (text: string) => codeOf(when(group(), 'mia', { t: 'send', m: 'm1', text }))
  t.equal(send('x'.repeat(Limits.textBytes)), 'message.posted')
  t.equal(send('x'.repeat(Limits.textBytes + 1)), 'TOO_LARGE')
  t.equal(send('ü'.repeat(Limits.textBytes / 2)), 'message.posted')
  t.equal(send('ü'.repeat(Limits.textBytes / 2 + 1)), 'TOO_LARGE')
  const state = group()
  run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
  t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'm1', text: 'ü'.repeat(Limits.textBytes) })), 'TOO_LARGE')
})

t.test('the author edits a message until it is deleted', async t => {
  const state = group()
  run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
  t.same(when(state, 'mia', { t: 'edit', m: 'm1', text: 'hello' }), {
    event: { t: 'event', c, seq: 4, type: 'message.edited', m: 'm1', from: 'mia', at, text: 'hello' },
  })
  t.equal(codeOf(when(state, 'alice', { t: 'edit', m: 'm1', text: 'x' })), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'm9', text: 'x' })), 'NOT_FOUND')
  run(state, command('mia', { t: 'delete', m: 'm1' }))
  t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'm1', text: 'x' })), 'NOT_FOUND')
})

t.test('the author, an admin or the owner deletes a message, once', async t => {
  const state = group()
  run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
  const remove = (from: string) => codeOf(when(state, from, { t: 'delete', m: 'm1' }))
  t.equal(remove('mia'), 'message.deleted')
  t.equal(remove('adam'), 'message.deleted')
  t.equal(remove('alice'), 'message.deleted')
  t.equal(remove('max'), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'mia', { t: 'delete', m: 'm9' })), 'NOT_FOUND')
  run(state, command('adam', { t: 'delete', m: 'm1' }))
  t.same(when(state, 'mia', { t: 'delete', m: 'm1' }), { unchanged: { seq: 4 } })
  t.equal(remove('max'), 'FORBIDDEN')
})

t.test('in a direct conversation each user deletes only own messages', async t => {
  const state = direct()
  run(state, command('bob', { t: 'send', m: 'm1', text: 'hi' }))
  t.equal(codeOf(when(state, 'alice', { t: 'delete', m: 'm1' })), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'bob', { t: 'delete', m: 'm1' })), 'message.deleted')
})

t.test('an existing reaction is not added, a missing one is not removed', async t => {
  const state = group()
  run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
  const react = (from: string, on: boolean, emoji = '👍') =>
    run(state, command(from, { t: 'react', m: 'm1', emoji, on }))
  t.equal(codeOf(react('max', false)), 'unchanged')
  t.match(react('max', true), { event: { type: 'reaction.added', m: 'm1', emoji: '👍', from: 'max' } })
  t.equal(codeOf(react('max', true)), 'unchanged')
  t.equal(codeOf(react('max', true, '👎')), 'reaction.added')
  t.equal(codeOf(react('mia', true)), 'reaction.added')
  t.equal(codeOf(react('max', false)), 'reaction.removed')
  t.equal(codeOf(react('max', false)), 'unchanged')
  t.equal(codeOf(react('max', true)), 'reaction.added')
  run(state, command('mia', { t: 'delete', m: 'm1' }))
  t.equal(codeOf(react('adam', true)), 'NOT_FOUND')
})

t.test('after a block nothing is sent, edited or reacted to; deleting still works', async t => {
  const state = direct()
  run(state, command('bob', { t: 'send', m: 'm1', text: 'hi' }))
  const blocked = { blocked: true }
  t.equal(codeOf(when(state, 'bob', { t: 'send', m: 'm2', text: 'hi' }, blocked)), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'bob', { t: 'edit', m: 'm1', text: 'ho' }, blocked)), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'alice', { t: 'react', m: 'm1', emoji: 'x', on: true }, blocked)), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'bob', { t: 'delete', m: 'm1' }, blocked)), 'message.deleted')
  t.equal(
    codeOf(when(state, 'bob', { t: 'send', m: 'm1', text: 'hi' }, blocked)),
    'unchanged',
    'a repeated message is already there',
  )
})

t.test('a forgotten message is decided with the result of a look-up', async t => {
  const state = group()
  run(state, command('mia', { t: 'send', m: 'old', text: 'hi' }))
  for (let i = 0; i < 200; i++) run(state, command('max', { t: 'send', m: `m${i}`, text: 'hi' }))
  const edit = { t: 'edit', m: 'old', text: 'x' } as const
  const upTo = state.seq - 128
  t.same(when(state, 'mia', edit), { lacks: 'old', upTo })
  const message = { m: 'old', seq: 3, from: 'mia', at, deleted: false }
  const found = { m: 'old', upTo, message }
  t.equal(codeOf(when(state, 'mia', edit, { found })), 'message.edited')
  t.equal(codeOf(when(state, 'max', edit, { found })), 'FORBIDDEN')
  t.equal(codeOf(when(state, 'mia', edit, { found: { ...found, message: undefined } })), 'NOT_FOUND')
  t.equal(codeOf(when(state, 'mia', edit, { found: { ...found, upTo: upTo - 1 } })), 'lacks', 'too old')
  t.equal(codeOf(when(state, 'mia', edit, { found: { ...found, m: 'm1' } })), 'lacks', 'another message')

  const send = { t: 'send', m: 'old', text: 'hi' } as const
  t.equal(codeOf(when(state, 'mia', send)), 'lacks')
  t.same(when(state, 'mia', send, { found }), { unchanged: { seq: 3, at, duplicate: true }, done: true })
  t.equal(codeOf(when(state, 'max', send, { found })), 'CONFLICT')
  t.equal(codeOf(when(state, 'eve', send)), 'NOT_FOUND', 'no look-up for a stranger')

  run(state, command('mia', { t: 'delete', m: 'old' }, { found }))
  const later = { found: { ...found, upTo: state.seq - 128 } }
  t.equal(codeOf(when(state, 'mia', edit, later)), 'NOT_FOUND', 'deleted after the look-up’s position')
  t.equal(codeOf(when(state, 'mia', { t: 'delete', m: 'old' }, later)), 'unchanged')
})

t.test('a certainly unused id needs no look-up, in a conversation of any length', async t => {
  const state = group()
  for (let i = 0; i < 5000; i++) run(state, command('max', { t: 'send', m: `m${i}`, text: 'hi' }))
  let lookups = 0
  for (let i = 0; i < 1000; i++)
    if ('lacks' in when(state, 'mia', { t: 'send', m: `new${i}`, text: 'hi' })) lookups++
  t.ok(lookups < 20, `${lookups} of 1,000`)
  t.equal(codeOf(when(state, 'mia', { t: 'edit', m: 'never', text: 'hi' })), 'NOT_FOUND')
})

t.test(
  'a new message with a time in its id is never looked up, also with several concurrent sends',
  async t => {
    const state = given(['mia', { t: 'create', kind: 'group', members: ['ben'] }])
    const start = Date.UTC(2026, 0, 1)
    // Ids are created some time before their command, in any order.
    const wish = (i: number): Wish => ({ t: 'send', m: v7({ msecs: start + (i ^ 63) }), text: 'hi' })
    let lookups = 0
    for (let i = 0; i < 20_000; i++) if ('lacks' in run(state, command('mia', wish(i)))) lookups++
    t.equal(lookups, 0)
  },
)
