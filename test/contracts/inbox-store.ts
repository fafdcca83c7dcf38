import type { Test } from 'tap'
import type { InboxChange } from '../../src/projections/index.ts'
import { type OpenEmptyViews, second } from './open-views.ts'

const created = (c: string, users: readonly string[], seq = 1): InboxChange[] => [
  { kind: 'activity', c, seq, n: 0 },
  { kind: 'created', c, as: 'group' },
  { kind: 'title', c, seq, title: 'a title' },
  ...users.map(user => membership(c, user, seq, true)),
]
const message = (c: string, seq: number, n: number, from = 'bob'): InboxChange => ({
  kind: 'message',
  c,
  seq,
  at: second(seq),
  n,
  m: `m${n}`,
  from,
  text: `text ${n}`,
})
const amended = (
  c: string,
  seq: number,
  m: string,
  text: string | null,
  { n = 3, messageSeq }: { n?: number; messageSeq?: number } = {},
): InboxChange[] => [
  { kind: 'activity', c, seq, n },
  { kind: 'amendment', c, seq, m, text, messageSeq },
]
const read = (c: string, user: string, mark: number): InboxChange => ({ kind: 'read', c, user, mark })
const delivered = (c: string, user: string, mark: number): InboxChange => ({
  kind: 'delivered',
  c,
  user,
  mark,
})
const mute = (c: string, user: string, seq: number, muted: boolean): InboxChange => ({
  kind: 'mute',
  c,
  user,
  seq,
  muted,
})
const hide = (c: string, user: string, seq: number, shownFrom: number): InboxChange => ({
  kind: 'hide',
  c,
  user,
  seq,
  shownFrom,
})
const membership = (c: string, user: string, seq: number, member: boolean): InboxChange => ({
  kind: 'membership',
  c,
  user,
  seq,
  member,
  at: second(seq),
})

const follows = (c: string, user: string, seq: number, follows: boolean): InboxChange => ({
  kind: 'follows',
  c,
  user,
  seq,
  follows,
  at: second(seq),
})

/** The contract of InboxStore, read through InboxQueries. */
export const testInboxStore = (t: Test, open: OpenEmptyViews): void => {
  t.test(
    'messages wait for a user, by conversation, until they are delivered, read, deleted or old',
    async t => {
      const { stores, views } = await open(t)
      await stores.inbox.apply([
        ...created('c', ['ann', 'bob']),
        ...created('b', ['bob']),
        message('c', 2, 1),
        message('c', 3, 2),
        message('c', 4, 3),
        message('b', 2, 1),
        membership('b', 'ann', 3, true),
        { kind: 'came', c: 'b', seq: 3, user: 'ann', n: 1 },
        message('b', 4, 2),
        ...created('elsewhere', ['bob']),
        message('elsewhere', 2, 1),
      ])
      const waiting = async (user: string, since = 0, limit = 2) => {
        const all: string[] = []
        for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
          const page = await views.inbox.undelivered(user, {
            since: second(since),
            limit,
            ...(cursor === undefined ? {} : { cursor }),
          })
          t.ok(page.messages.length <= limit)
          all.push(...page.messages.map(({ c, seq }) => `${c} ${seq}`))
          cursor = page.cursor
        }
        return all
      }
      t.same((await views.inbox.undelivered('ann', { since: second(0), limit: 1 })).messages, [
        { c: 'b', seq: 4, m: 'm2', from: 'bob', at: second(4) },
      ])
      t.same(await waiting('ann'), ['b 4', 'c 2', 'c 3', 'c 4'])
      t.same(await waiting('ann', 0, 1), ['b 4', 'c 2', 'c 3', 'c 4'])
      t.same(await waiting('ann', 3), ['b 4', 'c 3', 'c 4'], 'older messages no longer wait')
      t.same(await waiting('bob'), [], 'the user’s own messages')
      t.same(await waiting('cyd'), [])
      await stores.inbox.apply([delivered('c', 'ann', 2), ...amended('c', 5, 'm2', null)])
      await stores.inbox.apply([delivered('c', 'ann', 1)])
      t.same(await waiting('ann'), ['b 4', 'c 4'])
      await stores.inbox.apply([...amended('c', 6, 'm3', 'edited'), read('b', 'ann', 4)])
      t.same(await waiting('ann'), ['c 4'])
      await stores.inbox.apply([membership('c', 'ann', 7, false)])
      t.same(await waiting('ann'), [])
      for (const cursor of ['', 'x', '%'])
        await t.rejects(views.inbox.undelivered('ann', { since: second(0), limit: 1, cursor }), {
          code: 'BAD_REQUEST',
        })
    },
  )

  t.test('a channel is in the inbox of its followers, unread from their join on', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['bob']),
      message('c', 2, 1),
      follows('c', 'ann', 5, true),
      { kind: 'came', c: 'c', seq: 2, user: 'ann', n: 1 },
      message('c', 3, 2),
    ])
    const waiting = async () =>
      (await views.inbox.undelivered('ann', { since: second(0), limit: 9 })).messages.map(({ seq }) => seq)
    t.match(await views.inbox.item('ann', 'c'), { head: 3, unread: 1, read: 2 })
    t.same(await views.inbox.heads('ann', ['none', 'c', '__proto__']), new Map([['c', 3]]))
    t.same(await views.inbox.heads('eve', ['c']), new Map())
    t.match((await views.inbox.page('ann', { limit: 9 })).items, [{ c: 'c', unread: 1 }])
    t.same(await waiting(), [3])
    await stores.inbox.apply([
      follows('c', 'dan', 1, true),
      { kind: 'came', c: 'c', seq: 9, user: 'dan', n: 7 },
    ])
    t.match(await views.inbox.item('dan', 'c'), { unread: 0 }, 'a join after the view’s position')
    await stores.inbox.apply([follows('c', 'ann', 4, false)])
    t.match(await views.inbox.item('ann', 'c'), { unread: 1 }, 'an older one changes nothing')
    await stores.inbox.apply([membership('c', 'ann', 4, true), membership('c', 'ann', 5, false)])
    t.match(await views.inbox.item('ann', 'c'), { unread: 1 }, 'the follower’s own log is independent')
    await stores.inbox.apply([follows('c', 'ann', 6, false)])
    t.equal(await views.inbox.item('ann', 'c'), undefined)
    t.same(await views.inbox.heads('ann', ['c']), new Map())
    t.same((await views.inbox.page('ann', { limit: 9 })).items, [])
    t.same(await waiting(), [])
  })

  t.test('a conversation is in the inbox of its members, with its last message and unread count', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann', 'bob']),
      message('c', 2, 1),
      message('c', 3, 2, 'ann'),
      message('c', 4, 3),
    ])
    t.same(await views.inbox.item('ann', 'c'), {
      c: 'c',
      kind: 'group',
      title: 'a title',
      head: 4,
      lastMessage: { seq: 4, m: 'm3', from: 'bob', at: second(4), text: 'text 3' },
      unread: 1,
      read: 3,
      at: second(4),
      muted: false,
    })
    t.match(await views.inbox.item('bob', 'c'), { unread: 0, read: 4 })
    t.equal(await views.inbox.item('cyd', 'c'), undefined)
    t.same(await views.inbox.page('cyd', { limit: 10 }), { items: [] })
  })

  t.test('the later of marker and own last message is effective', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann', 'bob']),
      message('c', 2, 1),
      message('c', 3, 2),
      message('c', 5, 3),
    ])
    const at = async () => {
      const item = await views.inbox.item('ann', 'c')
      return [item?.read, item?.unread]
    }
    t.same(await at(), [0, 3])
    await stores.inbox.apply([read('c', 'ann', 1)])
    t.same(await at(), [1, 3], 'a marker without a message')
    await stores.inbox.apply([read('c', 'ann', 4)])
    t.same(await at(), [4, 1], 'a marker between messages')
    await stores.inbox.apply([read('c', 'ann', 2)])
    t.same(await at(), [4, 1], 'a marker does not move back')
    await stores.inbox.apply([message('c', 6, 4, 'ann'), message('c', 7, 5)])
    t.same(await at(), [6, 1])
    await stores.inbox.apply([read('c', 'ann', 99)])
    t.same(await at(), [99, 0], 'a marker ahead of the known events')
  })

  t.test('markers, mutes and messages may arrive before the conversation', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([read('c', 'ann', 3), mute('c', 'ann', 1, true)])
    t.same(await views.inbox.page('ann', { limit: 10 }), { items: [] })
    await stores.inbox.apply([...created('c', ['ann', 'bob']), message('c', 2, 1), message('c', 4, 2)])
    t.match(await views.inbox.item('ann', 'c'), { read: 3, unread: 1, muted: true })
  })

  t.test('the last message is the last one not deleted, as last edited', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann', 'bob']),
      message('c', 2, 1),
      message('c', 3, 2),
      message('c', 4, 3),
    ])
    const last = async () => (await views.inbox.item('ann', 'c'))?.lastMessage
    await stores.inbox.apply(amended('c', 5, 'm3', 'edited'))
    t.match(await last(), { m: 'm3', seq: 4, text: 'edited' })
    await stores.inbox.apply(amended('c', 6, 'm3', null))
    t.match(await last(), { m: 'm2', text: 'text 2' })
    await stores.inbox.apply(amended('c', 5, 'm3', 'edited'))
    t.match(await last(), { m: 'm2' }, 'an older edit does not restore it')
    await stores.inbox.apply([...amended('c', 7, 'm1', null), ...amended('c', 8, 'm2', null)])
    t.equal(await last(), null)
    t.match(await views.inbox.item('ann', 'c'), { head: 8, unread: 0, at: second(4) })
  })

  t.test('deleted messages do not count as unread, whatever is deleted when', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann', 'bob']),
      message('c', 2, 1),
      message('c', 3, 2),
      message('c', 4, 3),
    ])
    const at = async () => {
      const item = await views.inbox.item('ann', 'c')
      return [item?.read, item?.unread]
    }
    const deleted = amended('c', 5, 'm2', null, { messageSeq: 3 })
    await stores.inbox.apply(deleted)
    t.same(await at(), [0, 2])
    await stores.inbox.apply(deleted)
    t.same(await at(), [0, 2], 'a replay does not count it again')
    await stores.inbox.apply([read('c', 'ann', 2)])
    t.same(await at(), [2, 1], 'a deletion after the marker')
    await stores.inbox.apply([read('c', 'ann', 3)])
    t.same(await at(), [3, 1], 'a deleted message before the marker, deleted after it')
    await stores.inbox.apply(amended('c', 6, 'm1', null))
    t.same(await at(), [3, 1], 'a read message deleted, as older versions wrote it')
    await stores.inbox.apply([message('c', 7, 4), ...amended('c', 8, 'm4', null, { n: 4 })])
    t.same(await at(), [3, 1], 'posted and deleted in one batch')
    await stores.inbox.apply(amended('c', 9, 'm3', null, { n: 4 }))
    t.same(await at(), [3, 0])
    await stores.inbox.apply(amended('c', 10, 'never posted', null, { n: 4 }))
    t.same(await at(), [3, 0])
    await stores.inbox.apply([message('c', 11, 5)])
    t.same(await at(), [3, 1])
    t.match(await views.inbox.page('ann', { limit: 1 }), { items: [{ unread: 1, lastMessage: { m: 'm5' } }] })
  })

  t.test('the latest message comes first, page by page', async t => {
    const { stores, views } = await open(t)
    for (const [i, c] of ['a', 'b', 'd', 'e'].entries())
      await stores.inbox.apply([
        ...created(c, ['ann']),
        { ...message(c, 2, 1), at: second(i === 3 ? 12 : 10 + i) } as InboxChange,
      ])
    const first = await views.inbox.page('ann', { limit: 3 })
    t.same(
      first.items.map(({ c }) => c),
      ['d', 'e', 'b'],
    )
    const rest = await views.inbox.page('ann', { limit: 3, cursor: first.cursor ?? '' })
    t.same(
      rest.items.map(({ c }) => c),
      ['a'],
    )
    t.equal(rest.cursor, undefined)
    t.equal((await views.inbox.page('ann', { limit: 4 })).cursor, undefined)
    for (const cursor of ['', 'x', '!', first.cursor?.slice(1) ?? ''])
      await t.rejects(views.inbox.page('ann', { limit: 3, cursor }), { code: 'BAD_REQUEST' })
  })

  t.test('only messages and the own arrival move a conversation to the top', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('a', ['ann', 'bob'], 1),
      ...created('b', ['ann', 'bob'], 2),
      ...created('d', ['bob'], 3),
    ])
    const list = async (user = 'ann') =>
      (await views.inbox.page(user, { limit: 9 })).items.map(({ c, at }) => `${c} ${at}`)
    t.same(await list(), [`b ${second(2)}`, `a ${second(1)}`], 'without messages: the time of the arrival')
    await stores.inbox.apply([message('a', 4, 1)])
    const before = [`a ${second(4)}`, `b ${second(2)}`]
    t.same(await list(), before)
    await stores.inbox.apply([
      { kind: 'activity', c: 'b', seq: 20, n: 0 },
      { kind: 'title', c: 'b', seq: 21, title: 'renamed' },
      membership('b', 'cyd', 22, true),
      ...amended('a', 23, 'm1', 'edited', { n: 1 }),
    ])
    t.same(await list(), before, 'reactions, renames, joins of others and edits change nothing')
    await stores.inbox.apply(amended('a', 24, 'm1', null, { messageSeq: 4, n: 1 }))
    t.same(await list(), before, 'nor do deletions')
    await stores.inbox.apply([membership('d', 'ann', 30, true)])
    t.same(await list(), [`d ${second(30)}`, ...before])
    t.same((await list('bob'))[0], `a ${second(4)}`, 'the arrival of another user')
    await stores.inbox.apply([message('d', 5, 1), membership('d', 'ann', 31, false)])
    t.same(await list(), before)
    const followed = { ...follows('d', 'ann', 7, true), at: second(35) } as InboxChange
    await stores.inbox.apply([followed, membership('d', 'ann', 30, true)])
    t.same(await list(), [`d ${second(35)}`, ...before], 'a follower arrives by the own log')
    const replayed = message('a', 4, 1)
    await stores.inbox.apply([message('a', 40, 2)])
    await stores.inbox.apply([replayed])
    t.same((await list())[0], `a ${second(40)}`, 'an older message changes nothing')
  })

  t.test('the list changes between its pages: no conversation is missing or returned twice', async t => {
    const { stores, views } = await open(t)
    const ids = ['a', 'b', 'd', 'e', 'f', 'g']
    for (const [i, c] of ids.entries())
      await stores.inbox.apply([...created(c, ['ann'], i + 1), message(c, 10 + i, 1)])
    const first = await views.inbox.page('ann', { limit: 2 })
    await stores.inbox.apply([
      { kind: 'activity', c: 'd', seq: 99, n: 1 },
      ...amended('b', 98, 'm1', 'edited', { n: 1 }),
      message('a', 50, 2),
      message('a', 51, 3),
      message('g', 52, 2),
      ...created('new', ['ann'], 60),
      membership('e', 'ann', 61, true),
    ])
    const next = await views.inbox.page('ann', { limit: 2, cursor: first.cursor ?? '' })
    await stores.inbox.apply([message('b', 70, 2)])
    const third = await views.inbox.page('ann', { limit: 2, cursor: next.cursor ?? '' })
    t.same(
      [first, next, third].map(({ items }) => items.map(({ c }) => c)),
      [
        ['g', 'f'],
        ['e', 'd'],
        ['b', 'a'],
      ],
    )
    t.equal(third.cursor, undefined)
    t.match(third.items[1], { at: second(51), head: 51, unread: 3 }, 'each conversation is as it is now')
    t.same(
      (await views.inbox.page('ann', { limit: 9 })).items.map(({ c }) => c),
      ['b', 'e', 'new', 'g', 'a', 'f', 'd'],
    )
  })

  t.test('a hidden conversation is not in the list, until a later message or arrival', async t => {
    const { stores, views } = await open(t)
    const list = async () => (await views.inbox.page('ann', { limit: 9 })).items.map(({ c }) => c)
    await stores.inbox.apply([hide('c', 'ann', 1, 3)])
    await stores.inbox.apply([
      ...created('c', ['ann', 'bob']),
      message('c', 2, 1),
      ...created('empty', ['ann']),
    ])
    t.same(await list(), ['empty'], 'the view may be ahead in the log of the user')
    t.match(
      await views.inbox.item('ann', 'c'),
      { c: 'c', unread: 1 },
      'it is still a conversation of the user',
    )
    t.match(await views.inbox.page('bob', { limit: 9 }), { items: [{ c: 'c' }] })
    await stores.inbox.apply([
      ...amended('c', 3, 'm1', 'edited', { n: 1 }),
      { kind: 'title', c: 'c', seq: 4, title: 'x' },
      read('c', 'ann', 2),
    ])
    t.same(await list(), ['empty'], 'only messages show it')
    await stores.inbox.apply([message('c', 5, 2)])
    t.same(await list(), ['c', 'empty'])
    await stores.inbox.apply([hide('c', 'ann', 2, 6), hide('empty', 'ann', 3, 2)])
    t.same(await list(), [])
    t.same(await views.inbox.page('ann', { limit: 1 }), { items: [] })
    await stores.inbox.apply([hide('empty', 'ann', 4, 0), hide('empty', 'ann', 3, 2)])
    t.same(await list(), ['empty'], 'shown again; an older change has no effect')
    await stores.inbox.apply([message('c', 6, 3, 'ann')])
    t.same(await list(), ['c', 'empty'], 'an own message')
    await stores.inbox.apply([
      hide('c', 'ann', 5, 7),
      membership('c', 'ann', 7, false),
      membership('c', 'ann', 8, true),
      { kind: 'came', c: 'c', seq: 8, user: 'ann', n: 3 },
    ])
    t.same(await list(), ['c', 'empty'], 'a new arrival')
  })

  t.test('a conversation that was hidden during the first page is in no later page', async t => {
    const { stores, views } = await open(t)
    const ids = ['a', 'b', 'd', 'e']
    for (const [i, c] of ids.entries())
      await stores.inbox.apply([...created(c, ['ann', 'bob'], i + 1), message(c, 10 + i, 1)])
    await stores.inbox.apply([hide('b', 'ann', 1, 12)])
    const first = await views.inbox.page('ann', { limit: 1 })
    await stores.inbox.apply([message('b', 20, 2), message('a', 21, 2)])
    const second = await views.inbox.page('ann', { limit: 9, cursor: first.cursor ?? '' })
    t.same(
      [first, second].map(({ items }) => items.map(({ c }) => c)),
      [['e'], ['d', 'a']],
    )
    await stores.inbox.apply([hide('d', 'ann', 2, 13)])
    t.match(await views.inbox.page('ann', { limit: 9, cursor: first.cursor ?? '' }), { items: [{ c: 'a' }] })
    t.same(
      (await views.inbox.page('ann', { limit: 9 })).items.map(({ c }) => c),
      ['a', 'b', 'e'],
    )
  })

  t.test('an archived conversation says so', async t => {
    const { stores, views } = await open(t)
    const archived = (seq: number, on: boolean): InboxChange => ({
      kind: 'archived',
      c: 'c',
      seq,
      archived: on,
    })
    await stores.inbox.apply([...created('c', ['ann'])])
    const state = async () => (await views.inbox.page('ann', { limit: 9 })).items.map(item => item.archived)
    t.same(await state(), [undefined])
    await stores.inbox.apply([archived(3, true)])
    t.same(await state(), [true])
    await stores.inbox.apply([archived(2, false)])
    t.same(await state(), [true], 'an older change has no effect')
    await stores.inbox.apply([archived(4, false)])
    t.same(await state(), [undefined])
  })

  t.test('a former member no longer has it; a returning member keeps the marker', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([...created('c', ['ann', 'bob']), message('c', 2, 1), read('c', 'ann', 2)])
    await stores.inbox.apply([membership('c', 'ann', 3, false)])
    t.equal(await views.inbox.item('ann', 'c'), undefined)
    await stores.inbox.apply([membership('c', 'ann', 1, true)])
    t.equal(await views.inbox.item('ann', 'c'), undefined, 'an older join changes nothing')
    await stores.inbox.apply([message('c', 4, 2), membership('c', 'ann', 5, true)])
    t.match(await views.inbox.item('ann', 'c'), { read: 2, unread: 1 })
    await stores.inbox.apply([membership('c', 'ann', 3, false)])
    t.ok(await views.inbox.item('ann', 'c'))
  })

  t.test('earlier messages are not unread for a new member', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([...created('c', ['ann']), message('c', 2, 1), message('c', 3, 2)])
    await stores.inbox.apply([
      membership('c', 'cid', 4, true),
      { kind: 'came', c: 'c', seq: 4, user: 'cid', n: 2 },
    ])
    t.match(await views.inbox.item('cid', 'c'), { read: 4, unread: 0 })
    await stores.inbox.apply([message('c', 5, 3)])
    t.match(await views.inbox.item('cid', 'c'), { read: 4, unread: 1 })
  })

  t.test('titles, mutes and heads follow the newest event', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann']),
      { kind: 'title', c: 'c', seq: 5, title: 'new' },
      mute('c', 'ann', 2, true),
    ])
    await stores.inbox.apply([{ kind: 'activity', c: 'c', seq: 5, n: 2 }])
    const now = { title: 'new', muted: true, head: 5, at: second(1), unread: 2 }
    t.match(await views.inbox.item('ann', 'c'), now)
    await stores.inbox.apply([...created('c', ['ann']), mute('c', 'ann', 1, false)])
    t.match(await views.inbox.item('ann', 'c'), now, 'a replay changes nothing')
    await stores.inbox.apply([mute('c', 'ann', 3, false)])
    t.equal((await views.inbox.item('ann', 'c'))?.muted, false)
  })

  t.test('a direct conversation has the peer and no title', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      { kind: 'activity', c: 'c', seq: 1, n: 0 },
      { kind: 'created', c: 'c', as: 'direct', pair: ['ann', 'bob'] },
      { kind: 'title', c: 'c', seq: 1, title: null },
      membership('c', 'ann', 1, true),
      membership('c', 'bob', 1, true),
    ])
    t.match(await views.inbox.item('ann', 'c'), {
      kind: 'direct',
      title: null,
      peer: 'bob',
      lastMessage: null,
    })
    t.match(await views.inbox.item('bob', 'c'), { peer: 'ann' })
  })

  t.test('clear forgets everything', async t => {
    const { stores, views } = await open(t)
    await stores.inbox.apply([
      ...created('c', ['ann']),
      message('c', 2, 1),
      ...amended('c', 3, 'm1', null),
      mute('c', 'ann', 1, true),
    ])
    await stores.inbox.clear()
    t.equal(await views.inbox.item('ann', 'c'), undefined)
    await stores.inbox.apply([...created('c', ['ann']), message('c', 2, 1)])
    t.match(await views.inbox.item('ann', 'c'), { lastMessage: { m: 'm1' }, muted: false })
  })
}
