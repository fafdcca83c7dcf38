import t from 'tap'
import type { AggregateRef, ConfabError } from '../../src/events/index.ts'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'
import { type Asked, type Node, setUp } from './one-node.ts'

const codeOf = async (attempt: Promise<unknown>): Promise<string> => {
  const startedAt = performance.now()
  const code = await attempt.then(
    () => 'ok',
    (error: ConfabError) => error.code,
  )
  // The deadline of retries is 6 s.
  if (performance.now() - startedAt > 3_000) throw new Error('the command was retried, which cannot help')
  return code
}

/** Two nodes on one log: the first decides conversations, the second users. */
const twoHomes = async (limits = { channelMembers: 2 }) => {
  const log = new MemoryEventLog()
  const only =
    (wanted: string) =>
    ({ family }: AggregateRef): boolean =>
      family === wanted
  return {
    log,
    all: await setUp({ log, limits }),
    conversations: await setUp({ log, limits, decides: only('conv') }),
    users: await setUp({ log, limits, decides: only('user') }),
  }
}

t.test('a command whose log has its home elsewhere is refused at once, and appends nothing', async t => {
  const { log, conversations, users } = await twoHomes()
  const create: Asked = { t: 'create', c: 'tea', kind: 'group', members: ['bob'] }
  t.equal(await codeOf(users.as('alice', create)), 'UNAVAILABLE')
  t.equal(log.stream('CONV_0').length, 0)
  t.equal(await codeOf(conversations.as('alice', create)), 'ok')
  t.equal(await codeOf(conversations.as('alice', { t: 'read', c: 'tea', seq: 1 })), 'UNAVAILABLE')
  t.equal(log.stream('USER_0').length, 0)
  t.equal(await codeOf(users.as('alice', { t: 'read', c: 'tea', seq: 1 })), 'ok')
})

t.test(
  'a direct conversation whose record has its home elsewhere is refused, and found once it exists',
  async t => {
    const { log, all, conversations, users } = await twoHomes()
    const direct = (node: Node) => node.as('alice', { t: 'direct', user: 'bob' })
    const create = (node: Node, c: string) =>
      node.as('alice', { t: 'create', c, kind: 'direct', members: ['bob'] })
    t.equal(await codeOf(direct(conversations)), 'UNAVAILABLE')
    t.equal(await codeOf(create(conversations, 'ours')), 'UNAVAILABLE')
    t.equal(await codeOf(direct(users)), 'UNAVAILABLE')
    t.same([log.stream('CONV_0').length, log.stream('USER_0').length], [0, 0], 'no half of it is stored')
    const { c } = (await direct(all)) as { c: string }
    for (const node of [conversations, users]) t.match(await direct(node), { c, created: false })
    t.equal(await codeOf(create(conversations, 'another')), 'ALREADY_EXISTS')
  },
)

t.test('follows of a channel are refused when the log of the user has its home elsewhere', async t => {
  const { log, all, conversations } = await twoHomes()
  await all.as('alice', { t: 'create', c: 'news', kind: 'channel', members: ['bob'] })
  t.equal(await codeOf(conversations.as('zoe', { t: 'join', c: 'news' })), 'UNAVAILABLE')
  t.equal(log.stream('USER_0').length, 0)
  await all.as('zoe', { t: 'join', c: 'news' })
  const events = log.stream('CONV_0').length
  t.equal(await codeOf(conversations.as('alice', { t: 'ban', c: 'news', user: 'zoe' })), 'UNAVAILABLE')
  t.equal(log.stream('CONV_0').length, events, 'no ban without the end of the membership')
  t.equal(await codeOf(conversations.as('zoe', { t: 'leave', c: 'news' })), 'UNAVAILABLE')
  t.equal((await all.states.currentUser('zoe')).follows('news'), true)

  await all.as('alice', { t: 'create', c: 'tea', kind: 'group', members: ['bob'] })
  t.equal(await codeOf(conversations.as('alice', { t: 'ban', c: 'tea', user: 'bob' })), 'ok', 'in a group')
  t.equal(await codeOf(conversations.as('alice', { t: 'remove', c: 'news', user: 'bob' })), 'ok')
})
