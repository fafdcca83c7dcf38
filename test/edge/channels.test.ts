import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import type { RawClient } from '../harness/raw-client.ts'

// A channel's own log accepts two members; later ones follow the channel.
const commands = { channelMembers: 2 }
const here = await startConfab(t, { commands })
const there = await startConfab(t, { commands, nats: here.nats })
const alice = await here.connect('alice')
const said = new Map<string, number>()

/** A full channel of alice and bob. */
const open = async (c: string): Promise<void> => {
  await alice.ok('create', { c, kind: 'channel', title: c, members: ['bob'] })
}
/** Sends another message of alice; returns its seq. */
const say = async (c: string): Promise<number> => {
  const n = (said.get(c) ?? 0) + 1
  said.set(c, n)
  return (await alice.ok('send', { c, m: `a${n}`, text: `word ${n}` })).seq as number
}
const synced = (socket: RawClient, c: string) => socket.find(frame => frame.t === 'synced' && frame.c === c)
const notMember = (socket: RawClient, c: string) =>
  socket.find(frame => frame.t === 'refetch' && frame.c === c && frame.reason === 'not_member')

t.test('a follower receives events from the join on, on all devices and at any node', async t => {
  const c = 'news'
  await open(c)
  await say(c)
  const zoe = await here.connect('zoe')
  const phone = await there.connect('zoe')
  t.match(await zoe.ok('join', { c }), { seq: 2 })
  const seq = await say(c)
  t.equal(seq, 3, 'a join is not an event of the channel')
  for (const socket of [zoe, phone]) {
    await socket.event(c, 3)
    t.same(socket.seqs(c), [3])
  }
  const later = await there.connect('zoe')
  await say(c)
  for (const socket of [zoe, phone, later]) await socket.event(c, 4)
  const resumed = await there.connect('zoe', { resume: { [c]: 2 } })
  t.match(await synced(resumed, c), { seq: 4 })
  t.same(resumed.seqs(c), [3, 4])
  await say(c)
  await resumed.event(c, 5)
})

t.test('a user who joins during much traffic misses nothing after the answer', async t => {
  const c = 'busy'
  await open(c)
  const talk = (async () => {
    for (let n = 0; n < 300; n++) await say(c)
  })()
  const joined = await Promise.all(
    Array.from({ length: 5 }, async (_, n) => {
      await sleep(n * 20)
      const socket = await (n % 2 === 0 ? here : there).connect(`busy-${n}`)
      const { seq } = await socket.ok('join', { c })
      return { socket, seq: seq as number }
    }),
  )
  await talk
  for (const { socket, seq } of joined) {
    await socket.event(c, 301)
    t.same(
      socket.seqs(c),
      Array.from({ length: 301 - seq }, (_, n) => seq + 1 + n),
    )
  }
})

t.test('a follower can make a member’s requests; a stranger cannot', async t => {
  const c = 'asked'
  await open(c)
  await say(c)
  const yan = await there.connect('yan')
  for (const [type, fields] of [
    ['history', { c }],
    ['members', { c }],
    ['conversation', { c }],
    ['search', { c, q: 'word' }],
    ['read', { c, seq: 1 }],
  ] as const)
    t.equal(await yan.code(type, fields), 'NOT_MEMBER', type)
  const { seq } = await yan.ok('join', { c })
  t.match(await yan.ok('history', { c }), { head: 2, events: [{ seq: 1 }, { seq: 2 }] })
  await say(c)
  t.match(await yan.ok('conversation', { c }), { role: 'member', memberCount: 2, head: 3 })
  t.match(await yan.ok('inbox', { seen: { [c]: 3 } }), { items: [{ c, unread: 1, read: seq, head: 3 }] })
  t.match((await yan.ok('undelivered')).messages, [{ c, seq: 3 }])
  t.match(await yan.ok('read', { c, seq: 3 }), { seq: 3 })
  t.match(await yan.ok('send', { c, m: 'y1', text: 'word of yan' }), { seq: 4 })
  await alice.event(c, 4)
  t.match(await yan.ok('members', { c }), {
    members: [
      { user: 'alice', role: 'owner' },
      { user: 'bob', role: 'member' },
      { user: 'yan', role: 'member', read: 3 },
    ],
  })
  t.notMatch(JSON.stringify(await alice.ok('members', { c })), /follows/)
  const words = async (fields: object) =>
    ((await yan.ok('search', { q: 'word', ...fields })).hits as []).length
  for (const patience = Date.now() + 5_000; (await words({})) < 3 && Date.now() < patience; ) await sleep(20)
  t.equal(await words({}), 3)
  t.equal(await words({ c }), 3)
})

t.test('a user who leaves or is removed receives nothing more, on any device, and is notified', async t => {
  const c = 'left'
  await open(c)
  const [xia, phone] = [await here.connect('xia'), await there.connect('xia')]
  const will = await there.connect('will')
  for (const socket of [xia, will]) await socket.ok('join', { c })
  await say(c)
  for (const socket of [xia, phone, will]) await socket.event(c, 2)
  t.match(await xia.ok('leave', { c }), { seq: 2 })
  await alice.ok('remove', { c, user: 'will' })
  for (const socket of [xia, phone, will]) t.match(await notMember(socket, c), { head: 0 })
  await say(c)
  await alice.event(c, 3)
  for (const socket of [xia, phone, will]) {
    await socket.settled()
    t.same(socket.seqs(c), [2])
    t.equal(await socket.code('history', { c }), 'NOT_MEMBER')
    t.match(await socket.ok('inbox'), { items: [] })
  }
  const again = await here.connect('will', { resume: { [c]: 2 } })
  await notMember(again, c)
  t.match(await again.ok('join', { c }), { seq: 3 })
  t.match(await again.ok('send', { c, m: 'w1', text: 'back' }), { seq: 4 })
  await again.event(c, 4)
})

t.test('an event stream receives a follower’s events', async t => {
  const c = 'streamed'
  await open(c)
  const headers = { authorization: `Bearer ${await here.token('vic')}` }
  const stop = new AbortController()
  const response = await fetch(`${here.url}/v1/stream`, { headers, signal: stop.signal })
  const vic = await here.connect('vic')
  await vic.ok('join', { c })
  await synced(vic, c)
  await say(c)
  let text = ''
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString()
    if (text.includes('"seq":2')) break
  }
  t.match(text, /"c":"streamed","seq":2/)
  stop.abort()
})
