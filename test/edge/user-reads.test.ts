import t from 'tap'
import { Contacts } from '../../src/edge/presence/contacts.ts'
import { members } from '../../src/edge/requests/conversation.ts'
import { profiles } from '../../src/edge/requests/profiles.ts'
import type { RequestContext } from '../../src/edge/requests/request-context.ts'
import type { Views } from '../../src/projections/index.ts'
import { setUp } from '../commands/one-node.ts'
import { WatchedLog } from '../commands/watched-log.ts'

const users = (of: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${of}${n}`)

t.test('one caller reads a bounded number of states at once, and others are served in between', async t => {
  const log = new WatchedLog()
  log.waitMs = 1
  const { states } = await setUp({ log })
  const context = { access: { requireFresh() {} }, states } as unknown as RequestContext
  const handle = profiles(context)
  const ask = (user: string, asked: string[]) => handle({ id: '1', t: 'profiles', users: asked }, { user })
  let ended = 0
  const ofMallory = Array.from({ length: 20 }, async (_, n) => {
    await ask('mallory', users(`m${n}_`, 50))
    ended++
  })
  t.match(await ask('bob', ['carol']), { profiles: [{ user: 'carol' }] })
  t.ok(ended < 10, `${ended} of mallory's requests ended before bob's`)
  await Promise.all(ofMallory)
  t.ok(log.mostAtOnce <= 21, `${log.mostAtOnce} reads at once`)
})

t.test('pages of members: the same bound', async t => {
  const log = new WatchedLog()
  const node = await setUp({ log })
  const names = users('u', 99)
  await node.as('alice', { t: 'create', c: 'c1', kind: 'group', members: names })
  const { states } = await setUp({ log })
  const view = (await states.conversation('c1'))!
  const page = names.map(user => ({ user, role: 'member', read: 1, delivered: 1 }))
  const roster = { members: async () => ({ members: page, cursor: undefined }) } as unknown as Views['roster']
  const context = {
    access: { member: async () => view },
    states,
    views: { roster },
    freshness: { reached: async () => {} },
    limits: {},
  } as unknown as RequestContext
  log.waitMs = 1
  log.mostAtOnce = 0
  const handle = members(context)
  const answer = await handle({ id: '1', t: 'members', c: 'c1' }, { user: 'alice' })
  t.match(answer, { members: { length: names.length, 0: { read: 1 } } })
  t.ok(log.mostAtOnce <= 20, `${log.mostAtOnce} reads at once`)
})

t.test('decisions about presence: the same bound', async t => {
  const log = new WatchedLog()
  log.waitMs = 1
  const { states } = await setUp({ log })
  const roster = { conversationsOf: async () => ({ conversations: [] }) }
  const contacts = new Contacts(states, { roster } as unknown as Views)
  t.same(await contacts.shownTo('mallory', users('p', 300)), new Set())
  t.ok(log.mostAtOnce <= 20, `${log.mostAtOnce} reads at once`)
})
