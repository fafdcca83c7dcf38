import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient, type Fields } from '../harness/event-source.ts'

const confab = await startConfab(t, {
  limits: { backpressureBytes: 1024 * 1024, heartbeatMs: 1_000, topicFrom: 3, resumeBuffer: 8 },
})

const source = async (user: string, options?: { lastEventId?: string; awayMs?: number }) => {
  const client = new EventSourceClient(confab.url, await confab.token(user), options)
  t.teardown(() => client.stop())
  await client.until(() => client.of('hello').length > 0 || client.refused !== undefined)
  return client
}

const command = async (user: string, fields: Fields): Promise<Fields> => {
  const answer = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await confab.token(user)}` },
    body: JSON.stringify({ id: '1', ...fields }),
  })
  return (await answer.json()) as Fields
}

const seqsOf = (events: readonly Fields[]) => events.map(event => event.seq)
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, n) => first + n)

/** Returns the cursor of a new stream. */
const cursorOf = async (url: string, token: string): Promise<string> => {
  const client = new EventSourceClient(url, token)
  await client.until(() => client.lastEventId !== '')
  await client.stop()
  return client.lastEventId
}

const history = async (user: string, c: string): Promise<Fields[]> => {
  const token = await confab.token(user)
  const all: Fields[] = []
  for (let more = true; more; ) {
    const after = (all.at(-1)?.seq as number | undefined) ?? 0
    const answer = await fetch(`${confab.url}/v1/conversations/${c}/events?after=${after}&limit=200`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const page = (await answer.json()) as { events: Fields[]; more: boolean }
    all.push(...page.events)
    more = page.more
  }
  return all
}

t.test('a stream receives what a socket receives, and commands use HTTP', async t => {
  const socket = await confab.connect('bob')
  const bob = await source('bob')
  t.match(await command('alice', { t: 'create', c: 'tea', kind: 'group', members: ['bob'] }), { ok: true })
  t.match(await command('alice', { t: 'send', c: 'tea', m: 'm1', text: 'It is\nready \u2028 é' }), {
    ok: true,
  })
  await command('alice', { t: 'typing', c: 'tea', on: true })
  await socket.event('tea', 2)
  await bob.until(() => bob.events('tea').length === 2)
  t.same(
    bob.events('tea'),
    socket.frames.filter(frame => frame.t === 'event'),
    'the same objects',
  )
  await bob.until(() => bob.of('signal').some(signal => signal.type === 'typing'))
  t.match(bob.of('hello'), [{ user: 'bob', epoch: 1, heartbeatMs: 1000 }])
  await socket.ok('read', { c: 'tea', seq: 2 })
  await bob.until(() => bob.of('inbox').length > 0)
  t.match(bob.of('inbox'), [{ c: 'tea', unread: 0, read: 2, head: 2 }])
  const heard = bob.comments
  await bob.until(() => bob.comments > heard)
  t.pass('a heartbeat came')
  await bob.stop()
})

t.test('refusals are answered', async t => {
  const get = (headers: Record<string, string>) => fetch(`${confab.url}/v1/stream`, { headers })
  const none = await get({})
  t.equal(none.status, 401)
  t.match(await none.json(), { ok: false, error: { code: 'UNAUTHENTICATED' } })
  const authorization = `Bearer ${await confab.token('bob')}`
  for (const id of ['nonsense', '1', '2.CONV_0.4', '1.CONV_0.-4', `1${'.CONV_0.1'.repeat(300)}`]) {
    const answer = await get({ authorization, 'last-event-id': id })
    t.equal(answer.status, 400, id.slice(0, 20))
    t.match(await answer.json(), { error: { code: 'BAD_REQUEST' } })
  }
  const brief = new EventSourceClient(confab.url, await confab.token('bob', { expiresInSeconds: 2 }))
  await brief.until(() => brief.refused === 401)
  t.match(brief.of('closed'), [{ code: 4001 }], 'an expired token ends it')
})

t.test('random reconnects under load: every event once, in order', async t => {
  const users = ['ann', 'ben', 'cat', 'dan']
  const conversations = upTo(12).map(n => `r${n}`)
  const clients = await Promise.all(users.map(user => source(user, { awayMs: 150 })))
  const stranger = await source('stranger', { awayMs: 150 })
  for (const c of conversations)
    await command('ann', { t: 'create', c, kind: 'group', members: users.slice(1) })
  for (const client of clients)
    await client.until(() => conversations.every(c => client.events(c).length > 0))
  let isOver = false
  const cutting = [...clients, stranger].map(async client => {
    while (!isOver) {
      await sleep(Math.random() * 120)
      client.cut()
    }
  })
  const sender = await confab.connect('ann')
  for (let n = 0; n < 120; n++) {
    const wave = conversations.map(c =>
      sender.ok('send', { c, m: `${c}-${n}`, text: `${n} ${'x'.repeat(n * 10)}` }),
    )
    await Promise.all(wave)
    await sleep(10)
  }
  isOver = true
  await Promise.all(cutting)
  let reconnects = 0
  for (const client of clients) {
    await client.until(() => conversations.every(c => (client.events(c).at(-1)?.seq as number) === 121))
    for (const c of conversations) t.same(client.events(c), await history('ann', c), `${c} unchanged`)
    t.same(client.of('refetch'), [])
    reconnects += client.connections - 1
  }
  t.ok(reconnects > 20, `${reconnects} reconnects`)
  t.same(stranger.of('event'), [], 'a stranger sees nothing')
  t.same(stranger.of('synced'), [])
  await Promise.all([...clients, stranger].map(client => client.stop()))
})

t.test('an id of any moment resumes exactly there, in every conversation', async t => {
  const first = await source('eve')
  for (const c of ['i1', 'i2', 'i3']) await command('eve', { t: 'create', c, kind: 'group', members: [] })
  for (let n = 1; n <= 5; n++)
    for (const c of ['i1', 'i2', 'i3']) await command('eve', { t: 'send', c, m: `${c}${n}`, text: 'x' })
  await first.until(() => ['i1', 'i2', 'i3'].every(c => first.events(c).length === 6))
  await first.stop()
  const all = first.messages.filter(({ data }) => data.t === 'event')
  for (const [at, { id }] of all.entries()) {
    const again = await source('eve', { lastEventId: id })
    const rest = all.slice(at + 1).map(({ data }) => data)
    await again.until(() => again.of('event').length >= rest.length)
    if (rest.length > 0) await again.until(() => again.of('synced').length > 0)
    t.same(again.of('event'), rest, `after event ${at + 1}`)
    await again.stop()
  }
})

t.test('conversations that the user joined or left while offline', async t => {
  const gus = await source('gus')
  await command('hal', { t: 'create', c: 'left', kind: 'group', members: ['gus'] })
  await gus.until(() => gus.events('left').length === 1)
  await gus.stop()
  const before = gus.lastEventId
  await command('hal', { t: 'send', c: 'left', m: 'l1', text: 'before' })
  await command('hal', { t: 'remove', c: 'left', user: 'gus' })
  await command('hal', { t: 'send', c: 'left', m: 'l2', text: 'after' })
  await command('hal', { t: 'create', c: 'came', kind: 'group', members: ['gus'] })
  await command('hal', { t: 'send', c: 'came', m: 'c1', text: 'new' })
  const back = await source('gus', { lastEventId: before })
  await back.until(() => back.of('synced').length > 0)
  t.same(seqsOf(back.events('came')), [1, 2])
  t.same(back.events('left'), [], 'nothing of a conversation that the user left')
  await command('hal', { t: 'send', c: 'left', m: 'l3', text: 'later' })
  await command('hal', { t: 'send', c: 'came', m: 'c2', text: 'later' })
  await back.until(() => back.events('came').length === 3)
  t.same(back.events('left'), [])
  await back.stop()
})

t.test('a gap that cannot be filled is refetched', async t => {
  const ian = await source('ian')
  await command('jon', { t: 'create', c: 'much', kind: 'group', members: ['ian'] })
  await command('jon', { t: 'create', c: 'few', kind: 'group', members: ['ian'] })
  await ian.until(() => ian.of('event').length === 2)
  await ian.stop()
  const jon = await confab.connect('jon')
  for (let n = 0; n < 11; n++)
    await Promise.all(upTo(100).map(i => jon.ok('send', { c: 'much', m: `m${n}-${i}`, text: 'x' })))
  await jon.ok('send', { c: 'few', m: 'f', text: 'x' })
  const back = await source('ian', { lastEventId: ian.lastEventId })
  await back.until(() => back.of('synced').length > 0)
  t.same(back.of('refetch'), [{ t: 'refetch', c: 'much', head: 1101, reason: 'too_far' }])
  t.same(seqsOf(back.events('few')), [2])
  await jon.ok('send', { c: 'much', m: 'last', text: 'x' })
  await back.until(() => back.events('much').length > 0)
  t.same(seqsOf(back.events('much')), [1102])
  await back.stop()
})

t.test('a reader that does not read is closed, and resumes at its position', async t => {
  await command('kim', { t: 'create', c: 'loud', kind: 'group', members: ['lee'] })
  const kim = await confab.connect('kim')
  const token = await confab.token('lee')
  const before = confab.edge.connections()
  const socket = connect(confab.edge.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.write(`GET /v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
  let head = ''
  while (!/id: (\S+)/.test(head)) head += String(await new Promise(resolve => socket.once('data', resolve)))
  const id = /id: (\S+)/.exec(head)?.[1] ?? ''
  socket.pause()
  t.equal(confab.edge.connections(), before + 1)
  let sent = 0
  let most = 0
  const big = 'x'.repeat(16_000)
  while (confab.edge.connections() > before && sent < 2000) {
    await Promise.all(upTo(10).map(n => kim.ok('send', { c: 'loud', m: `l${sent + n}`, text: big })))
    sent += 10
    most = Math.max(most, confab.edge.bufferedBytes())
  }
  t.equal(confab.edge.connections(), before, `ended after ${sent} messages`)
  t.ok(most > 0 && most < 1.2 * 1024 * 1024, `${most} bytes waited`)
  const lee = await source('lee', { lastEventId: id })
  await lee.until(() => lee.events('loud').length + lee.of('refetch').length > 0)
  if (lee.of('refetch').length === 0) {
    await lee.until(() => lee.events('loud').length === sent)
    t.same(seqsOf(lee.events('loud')), upTo(sent + 1, 2), 'all of it, in order')
  }
  await lee.stop()
})

t.test('drain ends streams with a time to reconnect', async t => {
  const other = await startConfab(t, { nats: confab.nats })
  const client = new EventSourceClient(other.url, await other.token('bob'))
  t.teardown(() => client.stop())
  await client.until(() => client.of('hello').length === 1)
  await other.edge.drain()
  await client.until(() => client.of('drain').length === 1)
  const [{ reconnectMs }] = client.of('drain') as [{ reconnectMs: number }]
  t.ok(reconnectMs >= 0 && reconnectMs <= 300)
  t.equal(client.retryMs, reconnectMs, 'which any EventSource respects')
  t.match(client.of('closed'), [{ code: 1001 }])
  t.equal(other.edge.connections(), 0)
  await client.stop()
})

t.test('an ended stream is a valid chunked answer, and its connection is not reused', async t => {
  const socket = connect(confab.edge.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', data => {
    text += String(data)
  })
  const token = await confab.token('ray', { expiresInSeconds: 2 })
  socket.write(`GET /v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
  for (let n = 0; n < 2_000 && !text.includes('"closed"'); n++) await sleep(5)
  await sleep(50)
  const [head = '', ...rest] = text.split('\r\n\r\n')
  t.match(head, /connection: close/i)
  let body = rest.join('\r\n\r\n')
  let last = -1
  while (body !== '' && last !== 0) {
    const [, size = ''] = /^([0-9a-f]+)\r\n/.exec(body) ?? []
    if (size === '') break
    last = Number.parseInt(size, 16)
    body = body.slice(size.length + 2 + last + 2)
  }
  t.equal(last, 0, 'the last chunk ends the answer')
  t.equal(body, '')
})

t.test('positions beyond the log block no other stream, and count among the user’s sockets', async t => {
  const few = await startConfab(t, { limits: { userSockets: 20, resumes: 2 } })
  const bob = await few.connect('bob')
  await bob.ok('create', { c: 'tea', kind: 'group', members: ['alice'], key: 'create' })
  const id = await cursorOf(few.url, await few.token('alice'))
  const liar = { authorization: `Bearer ${await few.token('liar')}`, 'last-event-id': '1.CONV_0.zzzzz' }
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => fetch(`${few.url}/v1/stream`, { headers: liar, signal: stop.signal })),
  )
  // Held until the end: the garbage collector closes the connection of a response that nothing refers to.
  t.teardown(() => answers.map(({ body }) => body?.cancel().catch(() => {})))
  t.equal(answers.filter(({ status }) => status === 200).length, 20)
  t.equal(answers.filter(({ status }) => status === 429).length, 10)
  await bob.ok('send', { c: 'tea', m: 'm1', text: 'while they wait' })
  const alice = new EventSourceClient(few.url, await few.token('alice'), { lastEventId: id })
  t.teardown(() => alice.stop())
  // Less than the wait for one of the others (5 s).
  await alice.until(() => alice.events('tea').length > 0, 4_000)
})
