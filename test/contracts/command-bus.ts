import type { Test } from 'tap'
import type { CommandBus, StateReader } from '../../src/commands/index.ts'
import type { ConversationRequest, StoredEvent, UserRequest } from '../../src/events/index.ts'
import { at } from '../commands/given.ts'
import type { Asked } from '../commands/one-node.ts'

/** A bus with the log that it appends to. */
export interface BusSubject {
  readonly bus: CommandBus
  readonly states: StateReader
  /** Returns all events of a conversation, in order. */
  stored(c: string): Promise<readonly StoredEvent[]>
}

let serial = 0
/** Returns ids that no other test uses: all tests may share a log. */
const fresh = (name: string): string => `${name}-${++serial}`

const asOn =
  (bus: CommandBus) =>
  (from: string, request: Asked): Promise<unknown> =>
    bus.execute({ id: '1', ...request } as ConversationRequest | UserRequest, { from, at })

/** The contract of CommandBus, for every way of deciding. */
export const commandBusContract = (name: string, t: Test, open: (t: Test) => Promise<BusSubject>): void => {
  t.test(`${name}: a command is answered when its event is in the log`, async t => {
    const { bus, stored } = await open(t)
    const as = asOn(bus)
    const c = fresh('c')
    t.same(await as('alice', { t: 'create', c, kind: 'group', members: ['bob'] }), {
      seq: 1,
      duplicate: false,
    })
    t.same(await as('bob', { t: 'send', c, m: 'm1', text: 'hi' }), { seq: 2, at, duplicate: false })
    await bus.execute(
      { id: '1', t: 'rename', c, title: 'Tea', key: 'k1' },
      { from: 'alice', at, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
    )
    const [, sent, renamed] = await stored(c)
    t.match(JSON.parse(Buffer.from(sent!.data).toString()), { m: 'm1', n: 1, from: 'bob', at, text: 'hi' })
    t.match(sent!.envelope, { seq: 2, actor: 'bob', commandId: `m.${c}.bob.m1` })
    t.match(renamed!.envelope, {
      commandId: `k.${c}.alice.k1`,
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    })
  })

  t.test(`${name}: a repeated command is answered as before and appended once`, async t => {
    const { bus, stored } = await open(t)
    const as = asOn(bus)
    const c = fresh('c')
    await as('alice', { t: 'create', c, kind: 'group', members: ['bob'] })
    const send = (text: string) => as('bob', { t: 'send', c, m: 'm1', text })
    t.same(await Promise.all([send('hi'), send('hi')]), [
      { seq: 2, at, duplicate: false },
      { seq: 2, at, duplicate: true },
    ])
    await t.rejects(send('other'), { code: 'CONFLICT', field: '/m', message: /another message with this id/ })
    const rename = { t: 'rename', c, title: 'Tea', key: 'k' } as const
    t.same(await as('alice', rename), { seq: 3 })
    t.same(await as('alice', rename), { seq: 3 })
    for (const other of [
      { ...rename, title: 'Coffee' },
      { t: 'invite', c, user: 'carol', key: 'k' },
    ] as const)
      await t.rejects(as('alice', other), { code: 'CONFLICT', field: '/key', message: /used this key/ })
    const id = fresh('command')
    const react = { id: '1', t: 'react', c, m: 'm1', emoji: '👍' } as const
    t.same(await bus.execute({ ...react, on: true }, { from: 'bob', at, id }), { seq: 4 })
    t.same(await as('bob', { t: 'react', c, m: 'm1', emoji: '👍', on: false }), { seq: 5 })
    t.same(
      await bus.execute({ ...react, on: true }, { from: 'bob', at, id }),
      { seq: 4 },
      'a command with an id is identified by it',
    )
    t.equal((await stored(c)).length, 5)
  })

  t.test(`${name}: refusals keep code, message and field`, async t => {
    const { bus } = await open(t)
    const as = asOn(bus)
    const c = fresh('c')
    await as('alice', { t: 'create', c, kind: 'channel', members: ['bob'] })
    await as('bob', { t: 'send', c, m: 'm1', text: 'hi' })
    await t.rejects(as('alice', { t: 'send', c, m: 'm1', text: 'hi' }), { code: 'CONFLICT' })
    await t.rejects(as('eve', { t: 'send', c, m: 'm2', text: 'hi' }), { code: 'NOT_MEMBER' })
    await t.rejects(as('bob', { t: 'send', c: fresh('none'), m: 'm2', text: 'hi' }), {
      code: 'NOT_FOUND',
      message: 'This conversation does not exist, or you are not a member of it.',
    })
    await t.rejects(as('alice', { t: 'create', c: fresh('c'), kind: 'direct', members: ['bob', 'carol'] }), {
      code: 'BAD_REQUEST',
      field: '/members',
    })
    await t.rejects(as('alice', { t: 'create', c, kind: 'group', members: [] }), { code: 'ALREADY_EXISTS' })
  })

  t.test(`${name}: after an answer, the state includes its event`, async t => {
    const { bus, states } = await open(t)
    const as = asOn(bus)
    const c = fresh('c')
    t.equal(await states.conversation(c), undefined)
    await as('alice', { t: 'create', c, kind: 'group', members: ['bob'] })
    const first = await states.conversation(c)
    t.match(first, { c, kind: 'group', title: undefined, head: 1, memberCount: 2 })
    t.equal(first?.roleOf('alice'), 'owner')
    t.equal(first?.roleOf('eve'), undefined)
    for (let i = 2; i < 30; i++) {
      await as('bob', { t: 'send', c, m: `m${i}`, text: 'hi' })
      t.equal((await states.conversation(c))?.head, i)
    }
    await as('alice', { t: 'remove', c, user: 'bob' })
    t.equal((await states.conversation(c))?.roleOf('bob'), undefined)
    t.match(await states.currentConversation(c), { head: 30, memberCount: 1 })
  })

  t.test(`${name}: markers, mutes and blocks`, async t => {
    const { bus, states } = await open(t)
    const as = asOn(bus)
    const c = fresh('c')
    const user = fresh('user')
    await as(user, { t: 'create', c, kind: 'group', members: ['bob'] })
    t.same(await as(user, { t: 'read', c, seq: 9 }), { seq: 1 })
    t.same(await as(user, { t: 'mute', c, on: true }), {})
    t.same(await as(user, { t: 'block', user: 'eve', on: true }), {})
    // Markers are visible when the feed has delivered them.
    for (;;) {
      const view = await states.user(user)
      if (view.hasBlocked('eve')) break
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    const view = await states.user(user)
    t.equal(view.readMark(c), 1)
    t.equal(view.isMuted(c), true)
    t.equal(view.readMark(fresh('c')), 0)
  })

  t.test(`${name}: concurrent commands of a conversation keep their order`, async t => {
    const { bus, stored } = await open(t)
    const as = asOn(bus)
    const all = await Promise.all(
      Array.from({ length: 20 }, () => fresh('c')).flatMap(c => [
        as('alice', { t: 'create', c, kind: 'group', members: ['bob'] }),
        ...Array.from({ length: 50 }, (_, i) => as('bob', { t: 'send', c, m: `m${i}`, text: `${i}` })),
        as('alice', { t: 'remove', c, user: 'bob' }),
      ]),
    )
    t.same(
      all.map(answer => (answer as { seq: number }).seq),
      Array.from({ length: 20 }, () => Array.from({ length: 52 }, (_, i) => i + 1)).flat(),
    )
    t.equal((await stored(`c-${serial}`)).length, 52)
  })

  t.test(`${name}: a pair has one direct conversation, and a refusal names it`, async t => {
    const { bus, states, stored } = await open(t)
    const as = asOn(bus)
    const [one, other] = [fresh('one'), fresh('other')]
    const opened = (await as(other, { t: 'direct', user: one })) as {
      c: string
      seq: number
      created: boolean
    }
    const { c } = opened
    t.match(opened, { seq: 1, created: true })
    t.equal(
      (await states.conversation(c))?.roleOf(one),
      'member',
      'the state includes the event of the answer',
    )
    t.match((await stored(c))[0]?.envelope, { type: 'conversation.created', actor: other })
    t.same(await as(one, { t: 'direct', user: other }), { c, seq: 1, created: false })
    await as(one, { t: 'send', c, m: 'm1', text: 'hi' })
    t.same(await as(other, { t: 'direct', user: one }), { c, seq: 2, created: false })
    await t.rejects(as(one, { t: 'create', c: fresh('c'), kind: 'direct', members: [other] }), {
      code: 'ALREADY_EXISTS',
      field: '/members',
      c,
    })
    await t.rejects(as(one, { t: 'direct', user: one }), { code: 'BAD_REQUEST', field: '/user' })
  })

  t.test(`${name}: drain waits for commands in flight`, async t => {
    const { bus } = await open(t)
    const as = asOn(bus)
    await bus.drain()
    let answered = 0
    const all = Promise.all(
      Array.from({ length: 5 }, async () => {
        await as('alice', { t: 'create', c: fresh('c'), kind: 'group', members: [] })
        answered++
      }),
    )
    await bus.drain()
    await all
    t.equal(answered, 5)
  })
}
