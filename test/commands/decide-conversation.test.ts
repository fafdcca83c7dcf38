import t from 'tap'
import { emptyConversation } from '../../src/commands/domain/conversation-state.ts'
import { at, c, codeOf, command, direct, given, group, run, type Wish, when } from './given.ts'

t.test('a group is created with its creator as owner, each member once', async t => {
  const decision = when(emptyConversation(c), 'alice', {
    t: 'create',
    kind: 'group',
    title: 'Tea',
    members: ['bob', 'alice', 'bob'],
  })
  t.same(decision, {
    event: {
      t: 'event',
      c,
      seq: 1,
      type: 'conversation.created',
      from: 'alice',
      at,
      kind: 'group',
      title: 'Tea',
      members: [
        { user: 'alice', role: 'owner' },
        { user: 'bob', role: 'member' },
      ],
    },
  })
})

t.test('a direct conversation has exactly two members', async t => {
  const create = (...members: string[]) =>
    codeOf(when(emptyConversation(c), 'alice', { t: 'create', kind: 'direct', members }))
  t.equal(create('bob'), 'conversation.created')
  t.equal(create('alice', 'bob'), 'conversation.created')
  t.equal(create(), 'BAD_REQUEST')
  t.equal(create('alice'), 'BAD_REQUEST')
  t.equal(create('bob', 'eve'), 'BAD_REQUEST')
})

t.test('a direct conversation is not created if either user has blocked the other', async t => {
  const wish: Wish = { t: 'create', kind: 'direct', members: ['bob'] }
  t.equal(codeOf(when(emptyConversation(c), 'alice', wish, { blocked: true })), 'FORBIDDEN')
  t.equal(codeOf(when(emptyConversation(c), 'alice', wish, { blocked: false })), 'conversation.created')
})

t.test('a taken id is not created again, but the same command is answered as before, for ever', async t => {
  const wish: Wish = { t: 'create', kind: 'group', members: ['bob'] }
  const state = emptyConversation(c)
  run(state, command('alice', wish, { id: 'k.c1.alice.x' }))
  for (let i = 0; i < 300; i++) run(state, command('alice', { t: 'send', m: `m${i}`, text: 'hi' }))
  t.same(when(state, 'alice', wish, { id: 'k.c1.alice.x' }), {
    unchanged: { seq: 1, duplicate: true },
    done: true,
  })
  t.equal(codeOf(when(state, 'alice', wish, { id: 'k.c1.alice.y' })), 'ALREADY_EXISTS')
  t.equal(codeOf(when(state, 'eve', wish)), 'ALREADY_EXISTS')
})

t.test('owner and admins rename; the same title changes nothing', async t => {
  const state = group()
  const rename = (from: string, title: string) => when(state, from, { t: 'rename', title })
  t.match(rename('alice', 'Coffee'), {
    event: { type: 'conversation.renamed', seq: 3, title: 'Coffee', from: 'alice' },
  })
  t.equal(codeOf(rename('adam', 'Coffee')), 'conversation.renamed')
  t.equal(codeOf(rename('mia', 'Coffee')), 'FORBIDDEN')
  t.same(rename('adam', 'Tea'), { unchanged: { seq: 2 } })
  t.equal(codeOf(when(direct(), 'alice', { t: 'rename', title: 'x' })), 'FORBIDDEN')
})

t.test(
  'a non-member learns nothing of a group or direct conversation, and only the existence of a channel',
  async t => {
    const wishes = [
      { t: 'send', m: 'm1', text: 'hi' },
      { t: 'edit', m: 'm1', text: 'hi' },
      { t: 'delete', m: 'm1' },
      { t: 'react', m: 'm1', emoji: '👍', on: true },
      { t: 'invite', user: 'eve' },
      { t: 'remove', user: 'alice' },
      { t: 'role', user: 'eve', role: 'owner' },
      { t: 'leave' },
      { t: 'rename', title: 'x' },
    ] as const
    for (const wish of wishes) {
      t.equal(codeOf(when(emptyConversation(c), 'eve', wish)), 'NOT_FOUND', `${wish.t}: no conversation`)
      t.equal(codeOf(when(direct(), 'eve', wish)), 'NOT_FOUND', `${wish.t}: direct`)
      t.equal(codeOf(when(group(), 'eve', wish)), 'NOT_FOUND', `${wish.t}: group`)
      t.equal(codeOf(when(group('channel'), 'eve', wish)), 'NOT_MEMBER', `${wish.t}: channel`)
      t.same(
        when(group(), 'eve', wish),
        when(emptyConversation(c), 'eve', wish),
        `${wish.t}: indistinguishable`,
      )
    }
    t.same(when(group(), 'eve', { t: 'join' }), when(emptyConversation(c), 'eve', { t: 'join' }))
  },
)

t.test('a remembered command is answered as before, whatever happened to its sender', async t => {
  const state = group()
  const rename = command('adam', { t: 'rename', title: 'Coffee' }, { id: 'k.c1.adam.1' })
  t.equal(codeOf(run(state, rename)), 'conversation.renamed')
  run(state, command('alice', { t: 'rename', title: 'Tea' }))
  run(state, command('alice', { t: 'remove', user: 'adam' }))
  t.same(run(state, rename), { unchanged: { seq: 3 }, done: true })
  t.equal(state.seq, 5)
})

t.test('given, when: the scenario checks itself', async t => {
  t.throws(() => given(['alice', { t: 'send', m: 'm1', text: 'hi' }]), /NOT_FOUND/)
})
