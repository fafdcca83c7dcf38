import t from 'tap'
import { v7 } from 'uuid'
import type { ConversationState } from '../../src/commands/domain/conversation-state.ts'
import { fingerprintOf, Limits } from '../../src/events/index.ts'
import { at, c, codeOf, command, direct, evolve, given, group, run, type Wish, when } from './given.ts'

const common = { t: 'event', c, seq: 3, from: 'mia', at } as const
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
  'a repeated message is the original one, also after its sender has left; another message needs another id',
  async t => {
    const state = group()
    run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
    run(state, command('mia', { t: 'edit', m: 'm1', text: 'ho' }))
    const other = { t: 'send', m: 'm1', text: 'ho' } as const
    t.match(when(state, 'mia', other), { refused: 'CONFLICT', field: '/m' })
    run(state, command('mia', { t: 'delete', m: 'm1' }))
    run(state, command('mia', { t: 'leave' }))
    const again = command('mia', { t: 'send', m: 'm1', text: 'hi' }, { at: '2027-01-01T00:00:00.000Z' })
    t.same(run(state, again), { unchanged: { seq: 3, at, duplicate: true }, done: true })
    t.equal(codeOf(when(state, 'mia', other)), 'NOT_FOUND', 'not a member any more')
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
    event: {
      ...{ t: 'event', c, seq: 4, type: 'message.edited', m: 'm1', from: 'mia', at },
      ...{ messageSeq: 3, text: 'hello' },
    },
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

t.test('a message has a bounded number of reactions, and of one user', async t => {
  const state = group()
  const limits = { messageReactions: 4, userReactions: 2 }
  const react = (from: string, emoji: string, on = true, m = 'm1') =>
    run(state, command(from, { t: 'react', m, emoji, on }, { limits }))
  for (const m of ['m1', 'm2']) run(state, command('mia', { t: 'send', m, text: 'hi' }))
  for (const emoji of ['🍇', '🍈']) t.equal(codeOf(react('mia', emoji)), 'reaction.added')
  t.match(react('mia', '🍉'), { refused: 'CONFLICT', field: '/emoji', message: /you have 2/ })
  t.equal(codeOf(react('mia', '🍉', true, 'm2')), 'reaction.added', 'another message')
  t.equal(codeOf(react('mia', '🍇')), 'unchanged', 'it is there already')
  t.equal(codeOf(react('mia', '🍇', false)), 'reaction.removed')
  t.equal(codeOf(react('mia', '🍉')), 'reaction.added')
  for (const emoji of ['🍊', '🍋']) t.equal(codeOf(react('max', emoji)), 'reaction.added')
  t.match(react('adam', '🍌'), { refused: 'CONFLICT', field: '/emoji', message: /4 different/ })
  t.equal(codeOf(react('adam', '🍋')), 'reaction.added', 'one of those that are there')
  for (let i = 0; i < 200; i++) run(state, command('max', { t: 'send', m: `x${i}`, text: 'hi' }))
  t.equal(codeOf(react('adam', '🍌', true, 'x199')), 'reaction.added', 'any message')
})

t.test('a reaction is removed in any form; one of an earlier version by its own text', async t => {
  const old = (state: ConversationState, emoji: string): void =>
    evolve(state, { ...common, seq: state.seq + 1, type: 'reaction.added', m: 'm1', emoji }, `old ${emoji}`)
  const start = (...emojis: string[]) => {
    const state = group()
    run(state, command('mia', { t: 'send', m: 'm1', text: 'hi' }))
    for (const emoji of emojis) old(state, emoji)
    return state
  }
  const off = (state: ConversationState, emoji: string) => {
    const decision = when(state, 'mia', { t: 'react', m: 'm1', emoji, on: false })
    return 'event' in decision && 'emoji' in decision.event ? decision.event.emoji : codeOf(decision)
  }
  const [plain, canonical] = ['❤', '❤\ufe0f']
  for (const emoji of [plain, canonical]) t.equal(off(start(canonical), emoji), canonical)
  for (const text of ['a', plain, '<b>', '\0']) t.equal(off(start(text), text), text)
  t.equal(off(start(plain), canonical), 'unchanged', 'a reaction that is not there')
  t.equal(off(start(plain, canonical), plain), plain)
  t.equal(off(start(plain, canonical), canonical), canonical)
  t.equal(off(start(), 'a'), 'unchanged')
  // The reaction is older than the recent events.
  const much = (state: ConversationState) => {
    for (let i = 0; i < 200; i++) run(state, command('max', { t: 'send', m: `x${i}`, text: 'hi' }))
    const message = { m: 'm1', seq: 3, from: 'mia', at, deleted: false }
    const found = { m: 'm1', upTo: state.seq - 128, message }
    return (emoji: string) => {
      const decision = when(state, 'mia', { t: 'react', m: 'm1', emoji, on: false }, { found })
      return 'event' in decision && 'emoji' in decision.event ? decision.event.emoji : codeOf(decision)
    }
  }
  t.equal(much(start(canonical))(plain), canonical)
  t.equal(much(start(plain))(plain), plain)
  t.equal(much(start('a'))('a'), 'a')
  t.equal(much(start())('a'), 'unchanged', 'no text that is not an emoji was ever a reaction here')
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
  const posted = { ...common, type: 'message.posted', m: 'old', n: 1, text: 'hi' } as const
  evolve(state, posted, 'm.c1.mia.old')
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
  const known = { ...found, message: { ...message, fingerprint: fingerprintOf(posted) } }
  t.match(when(state, 'mia', send, { found: known }), { done: true })
  t.match(when(state, 'mia', { ...send, text: 'ho' }, { found: known }), { refused: 'CONFLICT', field: '/m' })
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
