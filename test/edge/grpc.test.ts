import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import t from 'tap'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import { startGrpc } from '../../src/edge/transports/grpc/grpc-server.ts'
import { startConfab } from '../harness/confab.ts'
import { GrpcClient, type GrpcClientOptions } from '../harness/grpc-client.ts'
import type { Fields } from '../harness/raw-client.ts'
import { showPresence } from '../harness/show-presence.ts'

const confab = await startConfab(t, {
  edge: { grpcPort: 0 },
  limits: { backpressureBytes: 2 * 1024 * 1024, topicFrom: 3, helloMs: 1_000, slowMs: 3_000, userSockets: 8 },
})
const port = confab.edge.grpcPort!

const open = (options?: GrpcClientOptions): GrpcClient => {
  const client = new GrpcClient(port, options)
  t.teardown(() => client.close())
  return client
}

const connect = async (user: string, hello: Fields = {}): Promise<GrpcClient> => {
  const client = open({ token: await confab.token(user) })
  await client.ok('hello', hello)
  return client
}

const closeCode = ({ metadata }: Awaited<GrpcClient['ended']>) => metadata.get('confab-close-code')[0]

/** Returns the set field of a message of `oneof`s. */
const of = (frame: Fields | undefined, name: string) => frame?.[name] as Fields

const alice = await confab.connect('alice')
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

t.test('a service sends hello and requests, and receives what a socket receives', async t => {
  const socket = await confab.connect('bot')
  const bot = open()
  const hello = await bot.ok('hello', { token: await confab.token('bot'), device: 'server-1' })
  t.match(hello, { user: 'bot', session: String, epoch: 1, heartbeatMs: 25_000 })
  t.equal(of(hello, 'limits').frameBytes, 65_536)
  t.match(await bot.ok('create', { c: 'tea', kind: 'group', title: 'Tea', members: ['alice'] }), {
    seq: 1,
    duplicate: false,
  })
  const sent = await bot.ok('send', { c: 'tea', m: 'm1', text: 'It is\nready é', replyTo: 'm0' })
  t.match(sent, { seq: 2, at: String, duplicate: false })
  t.match(await bot.ok('send', { c: 'tea', m: 'm1', text: 'It is\nready é', replyTo: 'm0' }), {
    seq: 2,
    at: sent.at,
    duplicate: true,
  })
  await alice.ok('react', { c: 'tea', m: 'm1', emoji: '👍', on: true })
  await alice.ok('leave', { c: 'tea' })

  const created = await bot.event('tea', 1)
  t.match(created, { c: 'tea', seq: 1, from: 'bot', at: String, type: 'conversationCreated' })
  t.match(created.conversationCreated, {
    kind: 'group',
    title: 'Tea',
    members: [
      { user: 'bot', role: 'owner' },
      { user: 'alice', role: 'member' },
    ],
  })
  t.match((await bot.event('tea', 2)).messagePosted, { m: 'm1', n: 1, text: 'It is\nready é', replyTo: 'm0' })
  t.match((await bot.event('tea', 3)).reactionAdded, { m: 'm1', emoji: '👍' })
  t.match((await bot.event('tea', 4)).memberLeft, { user: 'alice' })
  await socket.event('tea', 4)
  t.same(bot.seqs('tea'), socket.seqs('tea'))

  const { events, head, more } = await bot.ok('history', { c: 'tea', after: 0, limit: 3 })
  t.same(
    events,
    await Promise.all([1, 2, 3].map(seq => bot.event('tea', seq))),
    'history returns them as received',
  )
  t.match({ head, more }, { head: 4, more: true })
  const { items } = await bot.ok('inbox', { seen: [{ c: 'tea', seq: 4 }] })
  t.match(items, [
    { c: 'tea', kind: 'group', title: 'Tea', head: 4, lastMessage: { text: 'It is\nready é' } },
  ])
  t.match(await bot.ok('members', { c: 'tea' }), { members: [{ user: 'bot', role: 'owner' }] })
  t.match(await bot.ok('search', { q: 'ready' }), { hits: [{ c: 'tea', m: 'm1', highlight: /<mark>ready/ }] })
  await showPresence(confab, 'alice')
  t.match(await bot.ok('presence', { users: { ids: ['alice', 'nobody'] }, c: 'tea' }), {
    states: [
      { user: 'alice', state: 'online' },
      { user: 'nobody', state: 'offline' },
    ],
    online: 1,
    of: 1,
  })
  t.match(await bot.ok('media', { name: 'a.txt', type: 'text/plain', size: 5, sha256: 'a'.repeat(64) }), {
    mediaId: String,
    parts: [{ method: 'PUT', range: [0, 5] }],
    missing: 1,
    verified: false,
  })
  t.match(await bot.ok('settings', { c: 'tea', slowModeSeconds: 30 }), { seq: 5 })
  t.match((await bot.event('tea', 5)).conversationSettingsChanged, {
    posting: 'everybody',
    slowModeSeconds: 30,
  })
  t.match(await bot.ok('conversation', { c: 'tea' }), {
    kind: 'group',
    title: 'Tea',
    memberCount: 1,
    role: 'owner',
    posting: 'everybody',
    slowModeSeconds: 30,
  })
  t.match(await bot.ok('privacy', { lastSeen: 'everybody' }), { lastSeen: 'everybody' })
  t.match(await bot.ok('direct', { user: 'zoe' }), { c: String, seq: 1, created: true })
  const again = await bot.request('create', { c: 'another', kind: 'direct', members: ['zoe'] })
  t.match(again.error, { code: 'ALREADY_EXISTS', field: '/members', c: String })
  t.match(await bot.ok('ping'), { at: String })
  bot.close()
})

t.test('signals, markers and calls are delivered too', async t => {
  const bot = await connect('bot')
  await alice.ok('create', { c: 'signals', kind: 'direct', members: ['bot'] })
  await bot.event('signals', 1)
  const signal = (type: string) =>
    bot
      .find(({ signal }) => (signal as Fields | undefined)?.type === type)
      .then(({ signal }) => of(signal as Fields, type))
  await alice.ok('typing', { c: 'signals', on: true })
  t.same(await signal('typing'), { c: 'signals', user: 'alice', on: true })
  await alice.ok('read', { c: 'signals', seq: 1 })
  t.match(await signal('receipt'), { c: 'signals', user: 'alice', read: 1 })
  await alice.ok('call', { c: 'signals', to: 'bot', call: 'c1', kind: 'offer', data: 'v=0' })
  const offer = await signal('call')
  t.match(offer, { user: 'alice', call: 'c1', kind: 'offer', data: 'v=0' })
  await bot.ok('call', {
    c: 'signals',
    to: 'alice',
    session: offer.session,
    call: 'c1',
    kind: 'answer',
    data: 'v=1',
  })
  t.match(await alice.find(frame => frame.type === 'call'), { user: 'bot', kind: 'answer', data: 'v=1' })
  await alice.ok('send', { c: 'signals', m: 'm1', text: 'x' })
  const other = await confab.connect('bot')
  await other.ok('read', { c: 'signals', seq: 2 })
  t.match(await bot.find(({ inbox }) => inbox != null), {
    inbox: { c: 'signals', unread: 0, read: 2, head: 2 },
  })
  other.close()
  bot.close()
})

t.test('it resumes exactly, and receives refetch where that is impossible', async t => {
  await alice.ok('create', { c: 'r', kind: 'group', members: ['bot'] })
  for (let n = 2; n <= 60; n++) await alice.ok('send', { c: 'r', m: `m${n}`, text: 'x' })
  const bot = await connect('bot', {
    resume: [
      { c: 'r', seq: 20 },
      { c: 'none', seq: 3 },
    ],
  })
  for (let n = 61; n <= 70; n++) await alice.ok('send', { c: 'r', m: `m${n}`, text: 'x' })
  await bot.event('r', 70)
  t.same(bot.seqs('r'), upTo(70, 21))
  const synced = await bot.find(({ synced }) => synced != null)
  t.ok(of(synced, 'synced').c === 'r' && (of(synced, 'synced').seq as number) >= 60)
  t.match(await bot.find(({ refetch }) => refetch != null), {
    refetch: { c: 'none', head: 0, reason: 'not_member' },
  })
  await bot.ok('sync', { cursors: [{ c: 'r', seq: 65 }] })
  await bot.find(frame => of(frame, 'synced')?.seq === 70)
  t.same(bot.seqs('r').slice(-5), upTo(70, 66))
  bot.close()
})

t.test('members of a busy and of a small conversation are served alike', async t => {
  const users = ['u1', 'u2', 'u3', 'u4', 'u5']
  await alice.ok('create', { c: 'many', kind: 'group', members: users })
  const bots = await Promise.all(users.map(user => connect(user)))
  for (let n = 2; n <= 40; n++) await alice.ok('send', { c: 'many', m: `m${n}`, text: 'x' })
  for (const bot of bots) await bot.event('many', 40)
  for (const bot of bots) t.same(bot.seqs('many'), upTo(40, 2))
  await alice.ok('remove', { c: 'many', user: 'u1' })
  await bots[0]!.event('many', 41)
  await alice.ok('send', { c: 'many', m: 'secret', text: 'x' })
  await bots[1]!.event('many', 42)
  await bots[0]!.ok('ping')
  t.same(bots[0]!.seqs('many').at(-1), 41, 'the event of the removal is the last')
  for (const bot of bots) bot.close()
})

t.test('errors are answers with a code', async t => {
  const eve = await connect('eve')
  t.equal(await eve.code('send', { c: 'r', m: 'm', text: 'let me in' }), 'NOT_FOUND')
  t.match(await eve.request('history', { c: 'no id' }), {
    error: { code: 'BAD_REQUEST', field: '/c', retryable: false },
  })
  t.equal(await eve.code('hello'), 'BAD_REQUEST', 'hello only once')
  t.match(await eve.request('send', { c: 'own', m: 'm', text: 'x'.repeat(16_385) }), {
    error: { code: 'TOO_LARGE', field: '/text' },
  })
  eve.call.write({ id: 'large', send: { c: 'own', m: 'm', text: 'x'.repeat(70_000) } })
  t.match(await eve.find(({ answer }) => (answer as Fields)?.re === 'large'), {
    answer: { error: { code: 'TOO_LARGE' } },
  })
  eve.call.write({ id: 'none' })
  t.match(await eve.find(({ answer }) => (answer as Fields)?.re === 'none'), {
    answer: { error: { code: 'BAD_REQUEST', field: '/t' } },
  })
  eve.call.write({ id: 'huge', send: { c: 'own', m: 'm', text: 'x'.repeat(200_000) } })
  const end = await eve.ended
  t.equal(end.code, status.RESOURCE_EXHAUSTED)
  t.equal(closeCode(end), '1009')
})

t.test('refusals are answered and end the call', async t => {
  const forged = open({ token: 'not.a.token' })
  t.equal(await forged.code('hello'), 'UNAUTHENTICATED')
  t.match(await forged.ended, { code: status.UNAUTHENTICATED })
  t.equal(closeCode(await forged.ended), '4001')
  const early = open({ token: await confab.token('bot') })
  t.equal(await early.code('inbox'), 'UNAUTHENTICATED')
  const late = await early.ended
  t.equal(late.code, status.DEADLINE_EXCEEDED)
  t.equal(closeCode(late), '4002')
  const brief = open({ token: await confab.token('bot', { expiresInSeconds: 2 }) })
  await brief.ok('hello')
  t.equal((await brief.ended).code, status.UNAUTHENTICATED, 'an expired token ends it')
  const senseless = open()
  for (let n = 0; n < 10; n++) senseless.call.write({ id: '' })
  const end = await senseless.ended
  t.equal(end.code, status.INVALID_ARGUMENT)
  t.equal(closeCode(end), '1008')
})

t.test(
  'a device replaces itself; a user has a limited number of calls; a half-closed call ends well',
  async t => {
    const first = await connect('gus', { device: 'd' })
    const second = await connect('gus', { device: 'd' })
    const end = await first.ended
    t.equal(end.code, status.ABORTED)
    t.equal(closeCode(end), '4003')
    const more = await Promise.all(upTo(7).map(() => connect('gus')))
    const tooMany = open({ token: await confab.token('gus') })
    t.equal(await tooMany.code('hello'), 'RATE_LIMITED')
    t.equal(closeCode(await tooMany.ended), '4029')
    for (const client of [second, ...more]) {
      client.call.end()
      t.equal((await client.ended).code, status.OK)
    }
    const again = await connect('gus')
    again.close()
  },
)

t.test('a call that is not read is closed, and resumes what it missed', async t => {
  const text = 'x'.repeat(16_000)
  await alice.ok('create', { c: 'loud', kind: 'group', members: ['bot', 'carol'] })
  const carol = await connect('carol')
  const bot = await connect('bot')
  bot.call.pause()
  const connections = confab.edge.connections()
  let sent = 0
  let most = 0
  while (confab.edge.connections() === connections) {
    // At most what a resume gives.
    if (sent < 500) {
      await Promise.all(upTo(10).map(n => alice.ok('send', { c: 'loud', m: `m${sent + n}`, text })))
      sent += 10
    } else await sleep(10)
    most = Math.max(most, confab.edge.bufferedBytes())
  }
  t.equal(confab.edge.connections(), connections - 1)
  t.ok(most < 2 * 1024 * 1024, `${most} bytes waited`)
  t.ok(confab.edge.bufferedBytes() < 256 * 1024, 'and no more than the others have under way still does')
  await carol.event('loud', sent + 1)
  t.same(carol.seqs('loud'), upTo(sent + 1, 2), 'others are not affected')
  bot.call.resume()
  const end = await bot.ended
  t.equal(end.code, status.RESOURCE_EXHAUSTED)
  t.equal(closeCode(end), '4008')
  const had = bot.seqs('loud')
  t.same(had, upTo(had.length + 1, 2), 'the received events have no gap')
  const again = await connect('bot', { resume: [{ c: 'loud', seq: had.length + 1 }] })
  await again.event('loud', sent + 1)
  t.same(again.seqs('loud'), upTo(sent + 1, had.length + 2))
  again.close()
  carol.close()
})

t.test('a slow reader receives everything it missed, with few bytes buffered at a time', async t => {
  const text = 'x'.repeat(16_000)
  await alice.ok('create', { c: 'much', kind: 'group', members: ['bot'] })
  for (let wave = 0; wave < 30; wave++)
    await Promise.all(upTo(10).map(n => alice.ok('send', { c: 'much', m: `m${wave * 10 + n}`, text })))
  const bot = await connect('bot', { resume: [{ c: 'much', seq: 0 }] })
  bot.call.pause()
  let most = 0
  for (let last = -1, same = 0; same < 20; await sleep(5)) {
    const waiting = confab.edge.bufferedBytes()
    most = Math.max(most, waiting)
    same = waiting === last ? same + 1 : 0
    last = waiting
  }
  t.ok(most > 0 && most < 1024 * 1024, `${most} bytes waited`)
  bot.call.resume()
  await bot.find(frame => of(frame, 'synced')?.c === 'much')
  t.same(bot.seqs('much'), upTo(301))
  bot.close()
})

t.test('a node that shuts down announces it', async t => {
  const going = await startConfab(t, { nats: confab.nats, edge: { grpcPort: 0 }, limits: { drainMs: 600 } })
  const bot = new GrpcClient(going.edge.grpcPort!, { token: await going.token('bot') })
  await bot.ok('hello')
  const drained = going.edge.drain()
  t.match(await bot.find(({ drain }) => drain != null), { drain: { reconnectMs: 300 } })
  t.equal(await bot.code('ping'), 'ok', 'it answers until then')
  const late = new GrpcClient(going.edge.grpcPort!, { token: await going.token('bot') })
  t.equal((await late.ended).code, status.UNAVAILABLE)
  const end = await bot.ended
  t.equal(end.code, status.UNAVAILABLE)
  t.equal(closeCode(end), '1001')
  await drained
  t.equal(going.edge.connections(), 0)
})

t.test('an address has a limited number of calls, and any ended call makes room', async t => {
  const few = await startConfab(t, {
    nats: confab.nats,
    edge: { grpcPort: 0 },
    limits: { addressSockets: 1, helloMs: 500 },
  })
  const token = await few.token('bot')
  const call = (options: GrpcClientOptions = {}) => new GrpcClient(few.edge.grpcPort!, { token, ...options })
  /** Retries until there is room: the end of a call is known here a little later than there. */
  const untilIn = async () => {
    for (let n = 0; n < 200; n++) {
      const client = call()
      const isIn = await client.ok('hello').then(
        () => true,
        () => false,
      )
      if (isIn) return client
      await sleep(10)
    }
    throw new Error('there was never room again')
  }
  const first = await untilIn()
  const end = await call().ended
  t.equal(end.code, status.RESOURCE_EXHAUSTED)
  t.equal(closeCode(end), '4029')
  first.close()
  const second = await untilIn()
  second.call.end()
  await second.ended
  const third = await untilIn()
  third.close()
  let forged: Awaited<GrpcClient['ended']>
  do {
    const client = call({ token: 'not.a.token' })
    client.call.write({ id: '1', hello: {} })
    forged = await client.ended
  } while (forged.code !== status.UNAUTHENTICATED)
  const last = await untilIn()
  t.ok(last)
  last.close()
})

t.test('it is off by default, and reports when it cannot listen', async t => {
  const without = await startConfab(t, { nats: confab.nats })
  t.equal(without.edge.grpcPort, undefined)
  const parts = {} as Parameters<typeof startGrpc>[0]
  const limits = { ...defaultEdgeLimits }
  await t.rejects(startGrpc(parts, limits, { host: '127.0.0.1', port }), /cannot listen for gRPC on 127/)
})
