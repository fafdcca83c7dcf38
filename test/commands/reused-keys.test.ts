import fc from 'fast-check'
import t from 'tap'
import { emptyConversation, forkConversation } from '../../src/commands/domain/conversation-state.ts'
import { decideConversation } from '../../src/commands/domain/decide-conversation.ts'
import { recentCapacity } from '../../src/commands/domain/recent-events.ts'
import {
  asksFor,
  ConfabError,
  type ConversationRequest,
  decodeConversationEvent,
  fingerprintOf,
  type StoredEvent,
} from '../../src/events/index.ts'
import { MemoryEventLog, MemorySnapshotStore } from '../../src/infra/memory/index.ts'
import { at, evolve } from './given.ts'
import { type Asked, createGroup, type Node, send, setUp } from './one-node.ts'

const c = 'c1'

const key = fc.constantFrom('k1', 'k2', 'k3')
const m = fc.constantFrom('m1', 'm2')
const text = fc.constantFrom('a', 'b')
const user = fc.constantFrom('bob', 'carol', 'dave')
const on = fc.boolean()
const keyed = <T extends string, R extends object>(t: T, fields: { [K in keyof R]: fc.Arbitrary<R[K]> }) =>
  fc.record({ t: fc.constant(t), c: fc.constant(c), key, ...fields }) as fc.Arbitrary<Asked>

/** Commands of alice, the owner, under few keys and message ids. */
const command: fc.Arbitrary<Asked> = fc.oneof(
  fc.record({ t: fc.constant('send'), c: fc.constant(c), m, text }) as fc.Arbitrary<Asked>,
  keyed('edit', { m, text }),
  keyed('delete', { m }),
  keyed('react', { m, emoji: fc.constantFrom('👍', '❤️'), on }),
  keyed('invite', { user }),
  keyed('remove', { user }),
  keyed('role', { user, role: fc.constantFrom('admin', 'member') }),
  keyed('rename', { title: text }),
  keyed('settings', { posting: fc.constantFrom('everybody', 'staff') }),
)

/** A command, or `restart`, or `fill`: so many messages that the state forgets the commands before them. */
const step = fc.oneof(
  { weight: 12, arbitrary: command },
  { weight: 1, arbitrary: fc.constantFrom('restart', 'fill') },
)

const isOfCommand = (request: Asked, { envelope: { commandId } }: StoredEvent): boolean =>
  commandId ===
  (request.t === 'send' ? `m.${c}.alice.${request.m}` : `k.${c}.alice.${'key' in request ? request.key : ''}`)

const asks = (request: Asked, stored: StoredEvent): boolean => {
  const event = decodeConversationEvent(stored)
  const recorded = { type: event.type, fingerprint: fingerprintOf(event) }
  return asksFor({ id: '1', ...request } as ConversationRequest, 'alice', recorded)
}

/** Whether a command with a new id changes nothing after these events. */
const changesNothing = (request: Asked, events: readonly StoredEvent[]): boolean => {
  // It remembers all events.
  const state = forkConversation(emptyConversation(c), events.length)
  for (const one of events) evolve(state, decodeConversationEvent(one), one.envelope.commandId)
  const asked = { id: '1', ...request } as ConversationRequest
  return (
    'unchanged' in
    decideConversation(state, {
      request: asked,
      from: 'alice',
      at,
      id: 'new',
      consent: () => 'add',
    })
  )
}

/** Throws when the answer contradicts the log, which had `before` events before the command. */
const check = (request: Asked, log: MemoryEventLog, before: number, error: unknown): void => {
  const stored = log.stream('CONV_0')
  const own = stored.filter(one => isOfCommand(request, one))
  const fails = (why: string) =>
    new Error(`${why}: ${JSON.stringify(request)}: ${JSON.stringify(own.map(({ envelope }) => envelope))}`)
  if (error === undefined) {
    if (own.some(one => asks(request, one))) return
    if (own.some(({ envelope }) => envelope.seq > before - recentCapacity))
      throw fails('ok, and the key is of another recent command')
    if (!changesNothing(request, stored.slice(0, before))) throw fails('ok, and nothing happened')
    return
  }
  if (!ConfabError.is(error)) throw error
  if (error.code === 'OVERLOADED' || error.code === 'INTERNAL') throw fails(error.code)
  if (error.field === '/key' && own.every(one => asks(request, one))) throw fails('the key is not reused')
}

for (const remembersIds of [true, false])
  t.test(
    `an answer ok means that the log holds this command (the log ${remembersIds ? 'recognises' : 'forgets'} ids)`,
    async t => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async steps => {
          const log = new MemoryEventLog({ remembersIds })
          const snapshots = new MemorySnapshotStore()
          const start = (): Promise<Node> => setUp({ log, snapshots, limits: { snapshotEvery: 16 } })
          let node = await start()
          await createGroup(node)
          let filled = 0
          for (const one of steps) {
            if (one === 'restart') node = await start()
            else if (one === 'fill') {
              filled++
              await Promise.all(
                Array.from({ length: 140 }, (_, i) => node.as('alice', send(`fill-${filled}-${i}`))),
              )
            } else {
              const before = log.stream('CONV_0').length
              const error = await node.as('alice', one).then(
                () => undefined,
                (error: unknown) => error,
              )
              check(one, log, before, error)
            }
          }
        }),
        { numRuns: 100 },
      )
      t.pass()
    },
  )

t.test('two nodes and batches: of different commands with one key, one is executed', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 4, maxLength: 80, size: 'max' }), async commands => {
      const log = new MemoryEventLog()
      const nodes = await Promise.all([setUp({ log }), setUp({ log })])
      await createGroup(nodes[0]!)
      await nodes[0]!.as('alice', { t: 'send', c, m: 'm1', text: 'a' })
      const errors = await Promise.all(
        commands.map((one, i) =>
          nodes[i % 2]!.as('alice', one).then(
            () => undefined,
            (error: unknown) => error,
          ),
        ),
      )
      const stored = log.stream('CONV_0')
      const ids = stored.map(({ envelope }) => envelope.commandId)
      if (new Set(ids).size !== ids.length) throw new Error('a command id twice')
      commands.forEach((one, i) => {
        const own = stored.filter(event => isOfCommand(one, event))
        if (errors[i] !== undefined || own.some(event => asks(one, event))) return
        if (!stored.some((_, end) => changesNothing(one, stored.slice(0, end + 1))))
          throw new Error(`ok, and nothing happened: ${JSON.stringify(one)}`)
      })
    }),
    { numRuns: 100 },
  )
  t.pass()
})

const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: { code: string; field?: string }) => `${error.code} ${error.field}`)

t.test(
  'a repeated command gets its first answer after a restart, an edit, and among 1,000 others',
  async t => {
    for (const remembersIds of [true, false]) {
      const log = new MemoryEventLog({ remembersIds })
      const snapshots = new MemorySnapshotStore()
      const start = () => setUp({ log, snapshots, limits: { snapshotEvery: 16 } })
      const first = await start()
      await createGroup(first)
      const message = { t: 'send', c, m: 'm1', text: 'one', replyTo: 'm0' } as const
      const sent = { seq: 2, at, duplicate: true }
      t.match(await first.as('bob', message), { seq: 2 })
      await first.as('bob', { t: 'edit', c, m: 'm1', text: 'two', key: 'k' })
      for (let i = 0; i < 20; i++) await first.as('alice', send(`a${i}`))
      const second = await start()
      t.same(await second.as('bob', message), sent)
      t.equal(await outcome(second.as('bob', { ...message, text: 'two' })), 'CONFLICT /m')
      t.equal(await outcome(second.as('bob', { t: 'send', c, m: 'm1', text: 'one' })), 'CONFLICT /m')
      t.same(await second.as('bob', { t: 'edit', c, m: 'm1', text: 'two', key: 'k' }), { seq: 3 })
      t.equal(
        await outcome(second.as('bob', { t: 'edit', c, m: 'm1', text: 'three', key: 'k' })),
        'CONFLICT /key',
      )
      for (let i = 0; i < 1_000; i += 500)
        await Promise.all(Array.from({ length: 500 }, (_, k) => second.as('alice', send(`b${i + k}`))))
      for (const node of [second, await start()]) {
        t.same(await node.as('bob', message), sent)
        t.equal(await outcome(node.as('bob', { ...message, text: 'two' })), 'CONFLICT /m')
      }
    }
  },
)

t.test(
  'within the window of the log, a key that the state has forgotten is compared with its event',
  async t => {
    const node = await setUp()
    await createGroup(node)
    t.same(await node.as('alice', { t: 'rename', c, title: 'Tea', key: 'k' }), { seq: 2 })
    for (let i = 0; i < 200; i++) await node.as('bob', send(`m${i}`))
    t.equal(await outcome(node.as('alice', { t: 'rename', c, title: 'Coffee', key: 'k' })), 'CONFLICT /key')
    t.equal(await outcome(node.as('alice', { t: 'invite', c, user: 'carol', key: 'k' })), 'CONFLICT /key')
    await node.as('alice', { t: 'rename', c, title: 'Water' })
    t.same(await node.as('alice', { t: 'rename', c, title: 'Tea', key: 'k' }), { seq: 2 })
    t.equal(node.log.stream('CONV_0').length, 203)
  },
)

t.test('a conversation is created once with one key; another one is refused', async t => {
  const node = await setUp()
  const create: Asked & { t: 'create' } = {
    t: 'create',
    c,
    kind: 'group',
    title: 'Tea',
    members: ['bob', 'carol'],
    key: 'k',
  }
  t.same(await node.as('alice', create), { seq: 1, duplicate: false })
  for (let i = 0; i < 200; i++) await node.as('alice', send(`m${i}`))
  await node.as('alice', { t: 'rename', c, title: 'Coffee' })
  await node.as('alice', { t: 'leave', c })
  for (const { as } of [node, await setUp({ log: node.log })]) {
    t.same(await as('alice', create), { seq: 1, duplicate: true })
    t.same(await as('alice', { ...create, members: ['carol', 'bob', 'alice'] }), { seq: 1, duplicate: true })
    const others: Asked[] = [
      { ...create, kind: 'channel' },
      { ...create, title: 'Coffee' },
      { ...create, members: ['bob'] },
      { t: 'join', c, key: 'k' },
    ]
    for (const other of others)
      t.equal(await outcome(as('alice', other)), 'CONFLICT /key', JSON.stringify(other))
    t.equal(await outcome(as('alice', { ...create, key: 'l' })), 'ALREADY_EXISTS /c')
  }
})

t.test('a key of a command that concerns a follower of a channel is compared as well', async t => {
  const node = await setUp({ limits: { channelMembers: 1 } })
  await node.as('alice', { t: 'create', c, kind: 'channel', members: [] })
  t.same(await node.as('alice', { t: 'invite', c, user: 'bob', key: 'k' }), { seq: 1 })
  t.same(await node.as('alice', { t: 'invite', c, user: 'bob', key: 'k' }), { seq: 1 })
  t.equal(await outcome(node.as('alice', { t: 'remove', c, user: 'bob', key: 'k' })), 'CONFLICT /key')
  t.equal(await outcome(node.as('alice', { t: 'invite', c, user: 'carol', key: 'k' })), 'CONFLICT /key')
  t.equal((await node.states.currentUser('carol')).follows(c), false)
  t.equal((await node.states.currentUser('bob')).follows(c), true)
})

t.test('a snapshot of a build without fingerprints counts any content as the same', async t => {
  const log = new MemoryEventLog({ remembersIds: false })
  const snapshots = new MemorySnapshotStore()
  const first = await setUp({ log, snapshots, limits: { snapshotEvery: 16 } })
  // The states of groups and channels are rebuilt from the log.
  await first.as('alice', { t: 'create', c, kind: 'direct', members: ['bob'] })
  await first.as('alice', send('m1', 'one'))
  await first.as('alice', { t: 'edit', c, m: 'm1', text: 'tea', key: 'k' })
  for (let i = 0; i < 20; i++) await first.as('bob', send(`b${i}`))
  const aggregate = { family: 'conv', id: c } as const
  const snapshot = (await snapshots.load(aggregate))!
  const state = JSON.parse(Buffer.from(snapshot.data).toString())
  const { at: _, creationFingerprint: _c, hasOldReactions: _h, ...old } = state
  old.recent = old.recent.map(({ type: _t, fingerprint: _f, ...entry }: Record<string, unknown>) => entry)
  await snapshots.save(aggregate, { ...snapshot, version: 3, data: Buffer.from(JSON.stringify(old)) })
  const second = await setUp({ log, snapshots })
  t.match(await second.as('alice', send('m1', 'two')), { seq: 2, duplicate: true })
  t.same(await second.as('alice', { t: 'edit', c, m: 'm1', text: 'coffee', key: 'k' }), { seq: 3 })
  t.match(await second.as('bob', send('new')), { duplicate: false })
})
