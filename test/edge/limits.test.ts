import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'
import type { Fields } from '../harness/raw-client.ts'

type T = Parameters<typeof startConfab>[0]

/** Starts a confab, and returns the metric of what a limit refused. */
const limited = async (t: T, limits: ConfabOptions['limits'], edge: ConfabOptions['edge'] = {}) => {
  const confab = await startConfab(t, { limits: limits ?? {}, edge })
  const refusals = async (limit: string) => {
    const pattern = new RegExp(`confab_edge_limited_total\\{limit="${limit}"\\} (\\d+)`)
    return Number(pattern.exec(await confab.metrics())?.[1] ?? 0)
  }
  return { ...confab, refusals }
}

const off = { ...noRates, burstMs: 1_000 }

interface Refused {
  code: string
  retryAfterMs: number
}
const refusedOf = (answers: readonly Fields[]): Refused[] =>
  answers.filter(answer => answer.ok === false).map(answer => answer.error as Refused)

t.test('a socket above its rate receives the wait, and continues after it', async t => {
  const { connect, refusals } = await limited(t, { ...off, socketRequests: 20 })
  const alice = await connect('alice')
  const again = await connect('alice')
  const answers = await Promise.all(Array.from({ length: 60 }, () => alice.request('ping')))
  const refused = refusedOf(answers)
  // Hello counts too.
  t.ok(refused.length > 0 && refused.length <= 41, `${refused.length} refused`)
  for (const { code, retryAfterMs } of refused) {
    t.equal(code, 'RATE_LIMITED')
    t.ok(Number.isInteger(retryAfterMs) && retryAfterMs > 0 && retryAfterMs <= 50, `${retryAfterMs} ms`)
  }
  t.equal(await refusals('socket_rate'), refused.length)
  t.equal(await again.code('ping'), 'ok', 'another socket has its own')
  await sleep(Math.max(...refused.map(({ retryAfterMs }) => retryAfterMs)))
  t.equal(await alice.code('ping'), 'ok')
})

t.test('a user has one rate over all sockets and HTTP, independent of other users', async t => {
  const { connect, refusals, url, token } = await limited(t, { ...off, userRequests: 10 })
  const sockets = [await connect('alice'), await connect('alice')]
  const bob = await connect('bob')
  const answers = await Promise.all(
    sockets.flatMap(socket => Array.from({ length: 20 }, () => socket.request('ping'))),
  )
  const refused = refusedOf(answers)
  t.ok(refused.length > 0 && refused.length <= 30, `${refused.length} refused`)
  t.equal(await refusals('user_rate'), refused.length)
  const authorization = `Bearer ${await token('alice')}`
  // The rate refills meanwhile: this many at once exceed it.
  const http = await Promise.all(
    Array.from({ length: 30 }, () => fetch(`${url}/v1/inbox`, { headers: { authorization } })),
  )
  const tooMany = http.filter(({ status }) => status === 429)
  t.ok(tooMany.length > 0, `${tooMany.length} of 30 over HTTP`)
  t.equal(tooMany[0]?.headers.get('retry-after'), '1')
  t.match(await tooMany[0]?.json(), { ok: false, error: { code: 'RATE_LIMITED', retryable: true } })
  const media = await Promise.all(
    Array.from({ length: 30 }, () => fetch(`${url}/v1/media/none`, { headers: { authorization } })),
  )
  t.ok(media.some(({ status }) => status === 429))
  t.equal(await bob.code('ping'), 'ok')
})

t.test('bytes count, also those of frames that are too large to be read', async t => {
  const { connect, refusals } = await limited(t, { ...off, socketBytes: 100_000 })
  const alice = await connect('alice')
  // White space between the tokens of JSON.
  const padded = (id: string, bytes: number): string => JSON.stringify({ id, t: 'ping' }).padEnd(bytes)
  alice.send(padded('large', 60_000))
  alice.send(padded('larger', 60_000))
  t.match(await alice.find(frame => frame.re === 'large'), { ok: true })
  const { error } = (await alice.find(frame => frame.re === 'larger')) as unknown as { error: Refused }
  t.equal(error.code, 'RATE_LIMITED')
  t.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 201, `${error.retryAfterMs} ms`)
  alice.send(padded('largest', 90_000))
  t.match(await alice.find(frame => frame.re === 'largest'), { error: { code: 'RATE_LIMITED' } })
  t.equal(await refusals('socket_rate'), 2)
  t.equal(await refusals('frame_size'), 1)
})

t.test('a conversation has a rate; strangers do not use it up, and markers and reads are exempt', async t => {
  const { connect, refusals } = await limited(t, { ...off, conversationRequests: 20 })
  const [alice, bob, mallory] = [await connect('alice'), await connect('bob'), await connect('mallory')]
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  await alice.ok('create', { c: 'milk', kind: 'group', members: ['bob'] })
  for (let n = 0; n < 100; n++) {
    const code = await mallory.code('send', { c: 'tea', m: `m${n}`, text: 'let me in' })
    if (code !== 'NOT_FOUND') t.fail(code)
  }
  t.equal(await alice.code('send', { c: 'tea', m: 'first', text: 'x' }), 'ok')
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      (n % 2 === 0 ? alice : bob).request('send', { c: 'tea', m: `n${n}`, text: 'x' }),
    ),
  )
  const refused = refusedOf(answers)
  t.ok(refused.length > 0 && refused.length <= 60, `${refused.length} refused`)
  t.ok(refused.every(({ code }) => code === 'RATE_LIMITED'))
  t.equal(await refusals('conversation_rate'), refused.length)
  t.equal(await alice.code('send', { c: 'milk', m: 'other', text: 'x' }), 'ok')
  const others = await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      n % 2 === 0 ? bob.code('history', { c: 'tea', limit: 1 }) : bob.code('read', { c: 'tea', seq: 1 }),
    ),
  )
  t.same(new Set(others), new Set(['ok']))
  const seqs = answers.filter(answer => answer.ok === true).map(answer => answer.seq as number)
  await bob.event('tea', Math.max(...seqs))
  t.equal(bob.seqs('tea').length, seqs.length + 2, 'a refused request has no effect')
})

t.test('a user with too many sockets is closed with 4029; a device replaces itself', async t => {
  const { connect, socket, token, refusals } = await limited(t, { userSockets: 2 })
  const first = await connect('alice', { device: 'phone' })
  await connect('alice')
  const third = await socket()
  const answer = await third.request('hello', { token: await token('alice') })
  t.match(answer, { ok: false, error: { code: 'RATE_LIMITED', retryable: true, retryAfterMs: 10_000 } })
  t.equal((await third.closed).code, 4029)
  t.equal(await refusals('user_sockets'), 1)
  await connect('bob')
  await connect('alice', { device: 'phone' })
  t.equal((await first.closed).code, 4003)
})

t.test(
  'an address with too many sockets is refused at the upgrade, and admitted when one has closed',
  async t => {
    const { socket, refusals, edge, url } = await limited(t, { addressSockets: 2, trustProxy: 1 })
    const from = (address: string) => socket({ headers: { 'x-forwarded-for': `8.8.8.8, ${address}` } })
    const one = await from('192.0.2.1')
    await from('192.0.2.1')
    await t.rejects(from('192.0.2.1'))
    const upgrade = await fetch(`${url}/v1/ws`).catch(() => undefined)
    t.not(upgrade?.status, 429, 'requests without a socket are not counted')
    t.equal(await refusals('address_sockets'), 1)
    await from('192.0.2.2')
    await from('2001:db8::1')
    await from('2001:db8::2')
    await t.rejects(from('2001:db8::3'))
    await from('2001:db8:0:1::1')
    const before = edge.connections()
    one.close()
    while (edge.connections() === before) await sleep(5)
    await from('192.0.2.1')
  },
)

t.test('WebSockets, event streams and gRPC calls of an address count together', async t => {
  const { socket, refusals, edge, url, token } = await limited(
    t,
    { addressSockets: 3, trustProxy: 1 },
    { grpcPort: 0 },
  )
  const authorization = `Bearer ${await token('alice')}`
  const stream = async (address: string) => {
    const abort = new AbortController()
    t.teardown(() => abort.abort())
    const headers = { authorization, 'x-forwarded-for': address }
    const answer = await fetch(`${url}/v1/stream`, { headers, signal: abort.signal })
    return { answer, close: () => abort.abort() }
  }
  const open = (address: string) => socket({ headers: { 'x-forwarded-for': address } })
  const call = async () => {
    const client = new GrpcClient(edge.grpcPort!, { token: await token('alice') })
    t.teardown(() => client.close())
    return client
  }
  const first = await stream('127.0.0.1')
  t.equal(first.answer.status, 200)
  await open('127.0.0.1')
  const grpc = await call()
  await grpc.ok('hello')

  const refused = await stream('127.0.0.1')
  t.equal(refused.answer.status, 429)
  t.equal(refused.answer.headers.get('retry-after'), '10')
  t.match(await refused.answer.json(), { ok: false, error: { code: 'RATE_LIMITED' } })
  await t.rejects(open('127.0.0.1'))
  const { metadata } = await (await call()).ended
  t.same(metadata.get('confab-close-code'), ['4029'])
  t.equal(await refusals('address_sockets'), 3)
  t.equal((await stream('192.0.2.7')).answer.status, 200, 'another address has its own')

  const head = await fetch(`${url}/v1/stream`, {
    method: 'HEAD',
    headers: { authorization, 'x-forwarded-for': '192.0.2.8' },
  })
  t.equal(head.status, 200)
  for (let n = 0; n < 5; n++) {
    const headers = { authorization: 'Bearer x', 'x-forwarded-for': '192.0.2.8' }
    t.equal((await fetch(`${url}/v1/stream`, { headers })).status, 401, 'a refused stream does not count')
  }
  const before = edge.connections()
  first.close()
  while (edge.connections() === before) await sleep(5)
  t.equal((await stream('127.0.0.1')).answer.status, 200, 'an ended stream makes room')
})

t.test('without a trusted proxy its header is ignored', async t => {
  const { socket } = await limited(t, { addressSockets: 1 })
  await socket({ headers: { 'x-forwarded-for': '192.0.2.1' } })
  await t.rejects(socket({ headers: { 'x-forwarded-for': '192.0.2.2' } }))
})

t.test('a socket without hello is closed with 4002, and counted', async t => {
  const { socket, refusals } = await limited(t, { helloMs: 200 })
  t.equal((await (await socket()).closed).code, 4002)
  t.equal(await refusals('hello_time'), 1)
})

t.test('a nearly full node refuses only requests that can wait', async t => {
  const bound = 1024 * 1024
  const { connect, connectSlow, refusals, url, token, edge, bus } = await limited(t, {
    bufferedBytes: bound,
    backpressureBytes: 64 * bound,
  })
  const alice = await connect('alice')
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  await alice.ok('send', { c: 'tea', m: 'one', text: 'x' })
  await alice.ok('create', { c: 'loud', kind: 'group', members: ['slow'] })
  const slow = await connectSlow('slow')
  slow.stopReading()
  let sent = 0
  // Past the edge, as another node would.
  const fill = async (wanted: () => boolean) => {
    for (; wanted() && sent < 3000; sent++) {
      const message = { t: 'send', c: 'loud', m: `m${sent}`, text: 'x'.repeat(16_000) } as const
      await bus.execute({ id: 'x', ...message }, { from: 'alice', at: new Date().toISOString() })
    }
  }
  await fill(() => edge.bufferedBytes() < 0.92 * bound)
  const waiting: [string, Fields][] = [
    ['send', { c: 'tea', m: 'two', text: 'x' }],
    ['search', { q: 'x' }],
    ['history', { c: 'tea' }],
    ['inbox', {}],
    ['undelivered', {}],
    ['members', { c: 'tea' }],
    ['typing', { c: 'tea', on: true }],
    ['presence', { users: ['bob'] }],
  ]
  for (const [type, fields] of waiting) {
    const { error } = (await alice.request(type, fields)) as unknown as { error: Refused }
    t.equal(error.code, 'OVERLOADED', type)
    t.ok(error.retryAfterMs > 0, type)
  }
  const headers = { authorization: `Bearer ${await token('alice')}` }
  const inbox = await fetch(`${url}/v1/inbox`, { headers })
  t.equal(inbox.status, 503)
  t.ok(Number(inbox.headers.get('retry-after')) >= 1)
  t.equal(await refusals('node'), waiting.length + 1)
  await alice.ok('read', { c: 'tea', seq: 2 })
  await alice.ok('delivered', { c: 'tea', seq: 2 })
  await alice.ok('ping')
  await alice.ok('sync', { cursors: { tea: 0 } })
  await alice.find(frame => frame.t === 'synced')
  const bob = await connect('bob', { resume: { tea: 0 } })
  await bob.event('tea', 2)
  const connections = edge.connections()
  await fill(() => edge.connections() === connections)
  t.equal(edge.connections(), connections - 1, 'beyond the bound the slowest socket is closed')
  await alice.ok('send', { c: 'tea', m: 'two', text: 'x' })
})

t.test(
  'during a rush a client receives a time to retry, and is admitted then, on the same socket',
  async t => {
    const { socket, token, refusals } = await limited(t, { ...off, hellos: 20, helloMs: 300 })
    const clients = await Promise.all(Array.from({ length: 40 }, () => socket()))
    const tokens = await Promise.all(clients.map((_, n) => token(`user${n}`)))
    const hello = (n: number) => clients[n]!.request('hello', { token: tokens[n] })
    const waits: number[] = []
    await Promise.all(
      (await Promise.all(clients.map((_, n) => hello(n)))).map(async (answer, n) => {
        for (let next = answer; next.ok === false; next = await hello(n)) {
          const { code, retryAfterMs } = next.error as Refused
          t.equal(code, 'OVERLOADED')
          if (next === answer) waits.push(retryAfterMs)
          await sleep(retryAfterMs)
        }
      }),
    )
    t.ok(waits.length > 0 && waits.length <= 20, `${waits.length} were sent away`)
    t.ok((await refusals('hello_rate')) >= waits.length)
    waits.sort((one, other) => one - other)
    t.ok(waits.at(-1)! - waits[0]! > 300, `they come one after another: ${waits.join(' ')}`)
  },
)

t.test('requests pipelined with a delayed hello are delayed too', async t => {
  const { connect, socket, token } = await limited(t, { ...off, hellos: 1 })
  await connect('alice')
  const bob = await socket()
  const answers = [bob.request('hello', { token: await token('bob') }), bob.request('inbox')]
  for (const answer of await Promise.all(answers))
    t.match(answer, { ok: false, error: { code: 'OVERLOADED' } })
})

t.test('an event stream during a rush is 503, with Retry-After', async t => {
  const { url, token } = await limited(t, { ...off, hellos: 1 })
  const headers = { authorization: `Bearer ${await token('alice')}` }
  const open = () => {
    const abort = new AbortController()
    t.teardown(() => abort.abort())
    return fetch(`${url}/v1/stream`, { headers, signal: abort.signal })
  }
  t.equal((await open()).status, 200)
  const refused = await open()
  t.equal(refused.status, 503)
  t.ok(Number(refused.headers.get('retry-after')) >= 1)
  t.match(await refused.json(), { error: { code: 'OVERLOADED', retryable: true } })
})
