import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createRosterShared, type SharedConversations } from '../../src/commands/index.ts'
import {
  type AnswerOf,
  type ConfabError,
  decodeConversationEvent,
  type StoredEvent,
} from '../../src/events/index.ts'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'
import { type Asked, type Node, setUp } from './one-node.ts'

type Opened = AnswerOf['direct']

const create = (c: string, peer: string): Asked => ({ t: 'create', c, kind: 'direct', members: [peer] })

/** Two nodes on one log. */
const twoNodes = async (log = new MemoryEventLog(), more: { shared?: SharedConversations } = {}) => ({
  log,
  one: await setUp({ log, ...more }),
  two: await setUp({ log, ...more }),
})

const open = (node: Node, from: string, user: string) =>
  node.as(from, { t: 'direct', user }) as Promise<Opened>

const refusal = (attempt: Promise<unknown>): Promise<ConfabError | undefined> =>
  attempt.then(
    () => undefined,
    (error: ConfabError) => error,
  )

/** Returns the direct conversations in a log. */
const directsOf = (log: MemoryEventLog): string[] =>
  log.stream('CONV_0').flatMap((stored: StoredEvent) => {
    const event = decodeConversationEvent(stored)
    return event.type === 'conversation.created' && event.kind === 'direct' ? [event.c] : []
  })

const recorded = (log: MemoryEventLog): string[] =>
  log.stream('USER_0').map(({ aggregate: { id }, data }) => {
    const { type, peer, c } = JSON.parse(Buffer.from(data).toString())
    return `${id} ${type} ${peer} ${c}`
  })

t.test('both users open the same conversation, at any node, at once or later', async t => {
  const { log, one, two } = await twoNodes()
  const answers = await Promise.all([
    open(one, 'bob', 'alice'),
    open(two, 'alice', 'bob'),
    open(one, 'alice', 'bob'),
    open(two, 'bob', 'alice'),
  ])
  const [{ c }] = answers
  t.same(new Set(answers.map(answer => answer.c)), new Set([c]))
  t.equal(answers.filter(({ created }) => created).length, 1)
  t.same(directsOf(log), [c])
  t.same(recorded(log), [`alice direct.opened bob ${c}`], 'the smaller id’s log records it')
  t.same(await open(one, 'alice', 'bob'), { c, seq: 1, created: false })
  await two.as('bob', { t: 'send', c, m: 'm1', text: 'hi' })
  t.match(await open(two, 'alice', 'bob'), { c, seq: 2, created: false })
  const other = await open(one, 'carol', 'alice')
  t.not(other.c, c, 'another pair')
  t.equal(one.bus.load, 0)
})

t.test('a second one with another id is refused, and named to the two users only', async t => {
  const { log, one, two } = await twoNodes()
  t.same(await one.as('bob', create('mine', 'alice')), { seq: 1, duplicate: false })
  for (const [node, from, peer] of [
    [one, 'bob', 'alice'],
    [two, 'alice', 'bob'],
  ] as const)
    t.match(await refusal(node.as(from, create('another', peer))), {
      code: 'ALREADY_EXISTS',
      field: '/members',
      c: 'mine',
    })
  t.match(await open(two, 'alice', 'bob'), { c: 'mine', created: false })
  const stranger = await refusal(one.as('eve', create('mine', 'alice')))
  t.same([stranger?.code, stranger?.field, stranger?.c], ['ALREADY_EXISTS', '/c', undefined])
  t.same(directsOf(log), ['mine'])
})

t.test('a repeated command gets its first answer', async t => {
  const { one, two } = await twoNodes()
  const keyed = { ...create('c1', 'alice'), key: 'k' } as Asked
  t.same(await one.as('bob', keyed), { seq: 1, duplicate: false })
  t.same(await two.as('bob', keyed), { seq: 1, duplicate: true })
  const request = { id: '1', t: 'direct', user: 'cyd' } as const
  const context = { from: 'bob', at: '2026-11-24T02:30:43.123Z', id: 'once' }
  const first = await one.bus.execute(request, context)
  t.same(await one.bus.execute(request, { ...context, id: 'again' }), { ...first, created: false })
})

t.test('what follows a create is decided after it', async t => {
  const { one } = await twoNodes()
  const wishes: Asked[] = [
    create('c1', 'alice'),
    ...Array.from({ length: 40 }, (_, i): Asked => ({ t: 'send', c: 'c1', m: `m${i}`, text: 'hi' })),
  ]
  const answers = (await Promise.all(wishes.map(wish => one.as('bob', wish)))) as { seq: number }[]
  t.same(
    answers.map(({ seq }) => seq),
    wishes.map((_, i) => i + 1),
  )
})

t.test('a block decides as before', async t => {
  const { log, one, two } = await twoNodes()
  await one.as('alice', { t: 'block', user: 'bob', on: true })
  for (const [from, peer] of [
    ['alice', 'bob'],
    ['bob', 'alice'],
  ] as const)
    for (const attempt of [open(one, from, peer), one.as(from, create('c1', peer)), open(two, from, peer)])
      t.match(await refusal(attempt), { code: 'FORBIDDEN', c: undefined })
  t.same(recorded(log).length, 1, 'the block alone')
  await one.as('alice', { t: 'block', user: 'bob', on: false })
  t.match(await open(one, 'bob', 'alice'), { created: true })
  await two.as('bob', { t: 'block', user: 'alice', on: true })
  t.match(await refusal(open(two, 'alice', 'bob')), { code: 'FORBIDDEN' })
})

t.test('no conversation with oneself', async t => {
  const { log, one } = await twoNodes()
  t.match(await refusal(open(one, 'bob', 'bob')), { code: 'BAD_REQUEST', field: '/user' })
  t.match(await refusal(one.as('bob', create('c1', 'bob'))), { code: 'BAD_REQUEST', field: '/members' })
  t.equal(log.stream('USER_0').length, 0)
})

/** Makes the log lose the creation of a conversation once, as if the process had crashed before. */
const loseCreation = (log: MemoryEventLog): void => {
  log.fault = ({ family }) => (family === 'conv' ? 'overloaded' : undefined)
}

for (const [name, heal] of [
  ['direct of the same user', (node: Node) => open(node, 'bob', 'alice')],
  ['direct of the other user', (node: Node) => open(node, 'alice', 'bob')],
] as const)
  t.test(`a crash between the record and the creation heals: ${name}`, async t => {
    const { log, one, two } = await twoNodes()
    loseCreation(log)
    t.match(await refusal(open(one, 'bob', 'alice')), { code: 'OVERLOADED' })
    log.fault = undefined
    t.same(directsOf(log), [])
    const [record] = recorded(log)
    const { c, created } = await heal(two)
    t.equal(record, `alice direct.opened bob ${c}`)
    t.equal(created, true)
    t.same(directsOf(log), [c])
  })

t.test('a crash between the record and the creation heals: create of the other user', async t => {
  const { log, one, two } = await twoNodes()
  loseCreation(log)
  t.match(await refusal(one.as('bob', create('lost', 'alice'))), { code: 'OVERLOADED' })
  log.fault = undefined
  t.match(await refusal(two.as('alice', create('other', 'bob'))), { code: 'ALREADY_EXISTS', c: 'lost' })
  t.same(directsOf(log), ['lost'])
  t.match(await two.as('alice', { t: 'send', c: 'lost', m: 'm1', text: 'hi' }), { seq: 2 })
})

t.test('a crash between the record and the creation heals: the same create', async t => {
  const { log, one, two } = await twoNodes()
  loseCreation(log)
  t.match(await refusal(one.as('bob', create('lost', 'alice'))), { code: 'OVERLOADED' })
  log.fault = undefined
  t.same(await two.as('bob', create('lost', 'alice')), { seq: 1, duplicate: false })
})

t.test('an id that other users took after it was recorded is replaced', async t => {
  const { log, one, two } = await twoNodes()
  loseCreation(log)
  t.match(await refusal(one.as('bob', create('taken', 'alice'))), { code: 'OVERLOADED' })
  log.fault = undefined
  await two.as('eve', { t: 'create', c: 'taken', kind: 'group', members: ['alice', 'bob'] })
  const refused = await refusal(one.as('bob', create('taken', 'alice')))
  t.same([refused?.code, refused?.field, refused?.c], ['ALREADY_EXISTS', '/c', undefined])
  const { c } = await open(two, 'alice', 'bob')
  t.not(c, 'taken')
  t.same(directsOf(log), [c])
  t.match(await open(one, 'bob', 'alice'), { c, created: false })
  t.same(recorded(log), [`alice direct.opened bob taken`, `alice direct.opened bob ${c}`])
})

t.test('appends that fail, or whose answers are lost, make no second conversation', async t => {
  const log = new MemoryEventLog()
  const { one, two } = await twoNodes(log)
  const faults = ['conflict', 'answer-lost', 'lost', 'later', undefined] as const
  for (let round = 0; round < 25; round++) {
    let turn = 0
    const [user, peer] = [`u${round}`, `v${round}`]
    // The first appends fail, each round in another order.
    log.fault = () => (turn < 5 ? faults[(round + 3 * turn++) % faults.length] : undefined)
    const answers = await Promise.all([
      open(one, user, peer),
      open(two, peer, user),
      two.as(user, create(`c${round}`, peer)).then(
        () => ({ c: `c${round}` }),
        (error: ConfabError) => ({ c: error.c }),
      ),
    ])
    log.fault = undefined
    await sleep(0)
    t.same(new Set(answers.map(({ c }) => c)).size, 1, JSON.stringify(answers))
  }
  t.equal(directsOf(log).length, 25)
  t.equal(one.bus.load + two.bus.load, 0)
})

/** A roster view with these members of conversations. */
const rosterOf = (members: Record<string, readonly string[]>) => ({
  conversationsOf: async (user: string) => ({
    conversations: Object.keys(members).filter(c => members[c]?.includes(user)),
  }),
})

t.test('a conversation from before logs recorded pairs is found, and recorded', async t => {
  const log = new MemoryEventLog()
  const before = await setUp({ log })
  await before.as('alice', create('old', 'bob'))
  await before.as('alice', { t: 'create', c: 'group', kind: 'group', members: ['bob', 'cyd'] })
  // A log of an older version has the conversations alone.
  const older = new MemoryEventLog()
  for (const { aggregate, envelope, data } of log.stream('CONV_0'))
    await older.append(aggregate, 0, [{ envelope, data }])
  const shared = createRosterShared(rosterOf({ old: ['alice', 'bob'], group: ['alice', 'bob', 'cyd'] }))
  const { one, two } = await twoNodes(older, { shared })
  t.match(await refusal(one.as('bob', create('new', 'alice'))), { code: 'ALREADY_EXISTS', c: 'old' })
  t.same(await open(two, 'bob', 'alice'), { c: 'old', seq: 1, created: false })
  t.same(recorded(older), ['alice direct.opened bob old'])
  t.match(await open(two, 'cyd', 'bob'), { created: true }, 'a shared group is no direct conversation')
})

t.test('a view that is behind delays no command; one that cannot be read fails it', async t => {
  const behind = await setUp({ shared: createRosterShared(rosterOf({})) })
  t.match(await open(behind, 'alice', 'bob'), { created: true })
  const conversationsOf = async () => {
    throw new Error('no database')
  }
  const away = await setUp({ shared: createRosterShared({ conversationsOf }) })
  t.match(await refusal(open(away, 'alice', 'bob')), { code: 'UNAVAILABLE' })
})
