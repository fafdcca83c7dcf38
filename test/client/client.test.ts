import t, { type Test } from 'tap'
import {
  type ClientOptions,
  type ConfabClient,
  createClient,
  type PendingMessage,
  RequestError,
} from '../../src/client/index.ts'
import type { ConversationEvent } from '../../src/events/index.ts'
import { startScriptedServer } from './scripted-server.ts'

const posted = (seq: number, m = `m${seq}`, from = 'bob'): ConversationEvent => ({
  t: 'event',
  c: 'c',
  seq,
  type: 'message.posted',
  from,
  at: '2026-11-24T02:30:43.123Z',
  m,
  n: seq,
  text: `text ${seq}`,
})

const begin = async (t: Test, options: Partial<ClientOptions> = {}) => {
  const server = await startScriptedServer()
  const client = createClient({
    url: server.url,
    token: 'a-token',
    device: 'phone-1',
    backoffMs: 1,
    maxBackoffMs: 5,
    ...options,
  })
  t.teardown(async () => {
    client.close()
    await server.stop()
  })
  return { server, client }
}

/** Returns a connected client and its socket. */
const greeted = async (t: Test, options: Partial<ClientOptions> = {}) => {
  const { server, client } = await begin(t, options)
  const hello = client.connect()
  const socket = await server.socket()
  await socket.greet()
  await hello
  return { server, client, socket }
}

const once = <K extends Parameters<ConfabClient['on']>[0]>(client: ConfabClient, name: K) =>
  new Promise<unknown>(resolve => {
    const off = client.on(name, value => {
      off()
      resolve(value)
    })
  })

t.test('connects, sends token, device and cursors, and exposes its user', async t => {
  const { server, client } = await begin(t, { resume: { c: 4 } })
  t.equal(client.state, 'closed')
  const connected = client.connect()
  const socket = await server.socket()
  t.equal(client.state, 'connecting')
  t.match(await socket.greet(), { t: 'hello', token: 'a-token', device: 'phone-1', resume: { c: 4 } })
  t.match(await connected, { user: 'alice', session: 's' })
  t.equal(client.user, 'alice')
  t.equal(client.state, 'open')
})

t.test('a request resolves with its answer, or rejects with the server’s error', async t => {
  const { client, socket } = await greeted(t)
  const fine = client.request('rename', { c: 'c', title: 'New' })
  const bad = client.request('join', { c: 'd' })
  const rename = await socket.next('rename')
  const join = await socket.next('join')
  t.match(rename, { c: 'c', title: 'New', key: /^[0-9a-f-]{36}$/ })
  socket.refuse(join, 'NOT_FOUND')
  socket.answer(rename, { seq: 9 })
  t.match(await fine, { seq: 9 })
  const error = await bad.then(
    () => undefined,
    (e: unknown) => e,
  )
  t.ok(RequestError.is(error))
  t.match(error, { code: 'NOT_FOUND', retryable: false, message: 'it is NOT_FOUND' })
})

t.test('after a cut it resumes and repeats unanswered requests unchanged', async t => {
  const { server, client, socket } = await greeted(t)
  const seen: number[] = []
  client.on('event', event => void seen.push(event.seq))
  socket.send(posted(1))
  const edit = client.request('edit', { c: 'c', m: 'm1', text: 'better' })
  const history = client.request('history', { c: 'c' })
  const typing = client.request('typing', { c: 'c', on: true })
  const before = await socket.next('edit')
  await socket.next('typing')
  socket.cut()
  await t.rejects(typing, { code: 'CLOSED' }, 'momentary requests are not repeated')

  const again = await server.socket()
  t.match(await again.greet(), { resume: { c: 1 } })
  again.send(posted(1))
  again.send(posted(2))
  again.send({ t: 'synced', c: 'c', seq: 2 })
  t.match(await once(client, 'synced'), { c: 'c', seq: 2 })
  const after = await again.next('edit')
  t.same(after, before, 'the same frame, the same key')
  again.answer(after, { seq: 3 })
  again.answer(await again.next('history'), { events: [], head: 3, more: false })
  await Promise.all([edit, history])
  t.same(seen, [1, 2])
  t.same(
    again.frames.map(f => f.t),
    ['hello', 'edit', 'history'],
    'each once',
  )
})

t.test('at most as many requests are in flight as the server accepts', async t => {
  const { server, client } = await begin(t)
  void client.connect()
  const socket = await server.socket()
  socket.answer(await socket.next('hello'), {
    user: 'alice',
    session: 's',
    epoch: 1,
    heartbeatMs: 25_000,
    limits: { inFlight: 3 },
  })
  const pages = [1, 2, 3].map(limit => client.request('inbox', { limit }))
  const first = await socket.next('inbox')
  await socket.next('inbox')
  socket.send({ t: 'signal', type: 'typing', c: 'c', user: 'bob', on: true })
  await once(client, 'signal')
  t.equal(socket.frames.filter(frame => frame.t === 'inbox').length, 2)
  socket.answer(first, { items: [] })
  t.equal((await socket.next('inbox')).limit, 3, 'the next one is sent when one is answered')
  for (const frame of socket.frames.filter(f => f.t === 'inbox')) socket.answer(frame, { items: [] })
  await Promise.all(pages)
})

t.test('an unanswered request times out', async t => {
  const { client } = await greeted(t, { requestTimeoutMs: 5 })
  await t.rejects(client.request('inbox', {}), { code: 'TIMEOUT', retryable: true })
})

t.test('requests made before connecting are sent once connected', async t => {
  const { server, client } = await begin(t)
  const inbox = client.request('inbox', {})
  void client.connect()
  const socket = await server.socket()
  await socket.greet()
  socket.answer(await socket.next('inbox'), { items: [] })
  t.same((await inbox).items, [])
})

t.test('a refused token is fetched again, once', async t => {
  let made = 0
  const { server, client } = await begin(t, { token: async () => `token-${++made}` })
  const connected = client.connect()
  const first = await server.socket()
  first.refuse(await first.next('hello'), 'UNAUTHENTICATED')
  const second = await server.socket()
  t.match(await second.greet(), { token: 'token-2' })
  await connected

  second.close(4001)
  const third = await server.socket()
  t.match(await third.next('hello'), { token: 'token-3' }, 'also one that has expired')
  third.close(4001)
  t.match(await once(client, 'error'), { code: 'UNAUTHENTICATED' })
  t.equal(client.state, 'closed')
  await t.rejects(client.request('inbox', {}), { code: 'CLOSED' })
})

t.test('a client with a retry time reconnects at that time, not before', async t => {
  const { server, client } = await begin(t)
  const connected = client.connect()
  const first = await server.socket()
  const refusedAt = performance.now()
  first.refuse(await first.next('hello'), 'OVERLOADED', { retryable: true, retryAfterMs: 120 })
  const second = await server.socket()
  t.ok(performance.now() - refusedAt >= 119)
  await second.greet()
  await connected
})

t.test('a refused fixed token is final', async t => {
  const { server, client } = await begin(t)
  const connected = client.connect()
  const socket = await server.socket()
  await socket.next('hello')
  socket.close(4001)
  await t.rejects(connected, { code: 'UNAUTHENTICATED' })
  t.equal(client.state, 'closed')
})

t.test('an unavailable token is requested again', async t => {
  let asked = 0
  const { server, client } = await begin(t, {
    token: () => {
      if (++asked < 3) throw new Error('the issuer is away')
      return 'late'
    },
  })
  const errors: string[] = []
  client.on('error', error => void errors.push(error.message))
  void client.connect()
  t.match(await (await server.socket()).greet(), { token: 'late' })
  t.same(errors, ['the issuer is away', 'the issuer is away'])
})

t.test('a replaced device does not reconnect', async t => {
  const { client, socket } = await greeted(t)
  socket.close(4003)
  t.match(await once(client, 'error'), { code: 'CLOSED' })
  t.equal(client.state, 'closed')
})

t.test('a revoked session does not reconnect, even with a fresh token', async t => {
  const { client, socket } = await greeted(t)
  socket.close(4004)
  t.match(await once(client, 'error'), { code: 'UNAUTHENTICATED', retryable: false })
  t.equal(client.state, 'closed')
})

t.test('a drain moves it to a new socket, with the requests in flight', async t => {
  const { server, client, socket } = await greeted(t)
  const states: string[] = []
  client.on('state', state => void states.push(state))
  const rename = client.request('rename', { c: 'c', title: 'New' })
  await socket.next('rename')
  socket.send({ t: 'drain', reconnectMs: 5 })
  const next = await server.socket()
  await next.greet()
  next.answer(await next.next('rename'), { seq: 2 })
  await rename
  await socket.ended
  t.same(states, ['connecting', 'open'])
})

t.test('after a drain, a closed socket does not reconnect early', async t => {
  const { client, socket } = await greeted(t)
  socket.send({ t: 'drain', reconnectMs: 1e9 })
  socket.send(posted(1))
  await once(client, 'event')
  socket.close(1001)
  t.equal(await once(client, 'state'), 'waiting')
})

t.test('silence is answered with a ping, further silence with a new socket', async t => {
  const { server, client } = await begin(t)
  const connected = client.connect()
  const socket = await server.socket()
  socket.answer(await socket.next('hello'), {
    user: 'alice',
    session: 's',
    epoch: 1,
    heartbeatMs: 20,
    limits: {},
  })
  await connected
  t.match(await socket.next('ping'), { id: 'ping' })
  const next = await server.socket()
  await next.greet()
})

t.test('a gap that stays open is requested', async t => {
  const { client, socket } = await greeted(t, { gapMs: 1 })
  const seen: number[] = []
  client.on('event', event => void seen.push(event.seq))
  socket.send(posted(5))
  socket.send(posted(7))
  const sync = await socket.next('sync')
  t.same(sync.cursors, { c: 5 })
  socket.answer(sync)
  socket.send(posted(6))
  socket.send(posted(7))
  socket.send({ t: 'synced', c: 'c', seq: 7 })
  await once(client, 'synced')
  t.same(seen, [5, 6, 7])
})

t.test('a refetch holds later events until there is a new cursor', async t => {
  const { client, socket } = await greeted(t, { resume: { c: 3 } })
  const seen: number[] = []
  client.on('event', event => void seen.push(event.seq))
  socket.send({ t: 'refetch', c: 'c', head: 2000, reason: 'too_far' })
  socket.send(posted(2001))
  socket.send(posted(2002))
  t.match(await once(client, 'refetch'), { c: 'c', head: 2000, reason: 'too_far' })
  const history = client.request('history', { c: 'c' })
  socket.answer(await socket.next('history'), {
    events: [posted(2000), posted(2001)],
    head: 2001,
    more: true,
  })
  const { head } = await history
  t.same(seen, [])
  client.setCursor('c', head)
  t.same(seen, [2002])
  t.same(client.cursors(), { c: 2002 })
})

t.test('signals and markers reach their listeners; unknown pushes are ignored', async t => {
  const { client, socket } = await greeted(t)
  const signal = once(client, 'signal')
  const inbox = once(client, 'inbox')
  socket.send({ t: 'of-tomorrow' })
  socket.send({ t: 'signal', type: 'typing', c: 'c', user: 'bob', on: true })
  socket.send({ t: 'inbox', c: 'c', unread: 0, read: 7, head: 7 })
  t.match(await signal, { type: 'typing', user: 'bob' })
  t.match(await inbox, { read: 7 })
  const error = once(client, 'error')
  socket.sendRaw('{"t":')
  t.match(await error, { message: /invalid frame/ })
  t.equal(client.state, 'open')
})

t.test('a message is pending until its event is delivered', async t => {
  const { client, socket } = await greeted(t, { resume: { c: 1 } })
  const told: string[][] = []
  client.on('pending', ({ messages }) => void told.push(messages.map(m => m.state)))
  const sent = client.send('c', 'hello', { replyTo: 'm1' })
  const frame = await socket.next('send')
  t.match(frame, { c: 'c', text: 'hello', replyTo: 'm1', m: /^[0-9a-f-]{36}$/ })
  t.match(client.pending('c'), [{ text: 'hello', state: 'sending', m: frame.m }])
  socket.answer(frame, { seq: 2, at: '2026-11-24T02:30:43.123Z', duplicate: false })
  t.match(await sent, { m: frame.m, seq: 2, duplicate: false })
  t.match(client.pending('c'), [{ state: 'sent' }], 'acked')
  const event = once(client, 'event')
  socket.send(posted(2, frame.m as string, 'alice'))
  await event
  await Promise.resolve()
  t.same(client.pending('c'), [])
  t.same(told, [['sending'], ['sent'], []])
})

t.test('messages of a conversation keep their order over reconnects and temporary refusals', async t => {
  const { server, client, socket } = await greeted(t)
  const all = ['one', 'two', 'three'].map(text => client.send('c', text))
  const one = await socket.next('send')
  t.equal(one.text, 'one')
  socket.cut()
  const again = await server.socket()
  await again.greet()
  const retried = await again.next('send')
  t.equal(retried.m, one.m, 'the same message')
  again.refuse(retried, 'RATE_LIMITED', { retryable: true, retryAfterMs: 1 })
  const order: unknown[] = []
  for (let seq = 1; seq <= 3; seq++) {
    const frame = await again.next('send')
    order.push(frame.text)
    again.answer(frame, { seq, at: 'now', duplicate: false })
  }
  await Promise.all(all)
  t.same(order, ['one', 'two', 'three'])
})

t.test('a message that has to wait beyond its timeout, as in slow mode, fails at once', async t => {
  const { client, socket } = await greeted(t)
  const sent = client.send('c', 'hello')
  const frame = await socket.next('send')
  socket.refuse(frame, 'RATE_LIMITED', { retryable: true, retryAfterMs: 3_600_000 })
  await t.rejects(sent, { code: 'RATE_LIMITED' })
  t.match(client.pending('c'), [{ state: 'failed', error: { retryAfterMs: 3_600_000 } }])
})

t.test('a message without an answer is repeated until there is one; it does not fail', async t => {
  const { client, socket } = await greeted(t, { requestTimeoutMs: 20 })
  const states = new Set<string>()
  client.on('pending', ({ messages }) => {
    for (const { state } of messages) states.add(state)
  })
  const sent = client.send('c', 'hello')
  const first = await socket.next('send')
  const second = await socket.next('send')
  const third = await socket.next('send')
  t.same([second.m, third.m], [first.m, first.m], 'the same message')
  socket.answer(third, { seq: 1, at: 'now', duplicate: false })
  t.match(await sent, { m: first.m, seq: 1 })
  t.same([...states], ['sending', 'sent'])
})

t.test('a client that reconnects on request repeats what waits for an answer', async t => {
  const { server, client, socket } = await greeted(t)
  const sent = client.send('c', 'hello')
  const frame = await socket.next('send')
  client.reconnect()
  const again = await server.socket()
  await again.greet()
  const repeated = await again.next('send')
  t.equal(repeated.m, frame.m)
  again.answer(repeated, { seq: 1, at: 'now', duplicate: false })
  t.match(await sent, { seq: 1 })
  await socket.ended
  client.close()
  client.reconnect()
  t.equal(client.state, 'closed', 'not after close')
})

t.test('a refused message fails, and can be retried or discarded', async t => {
  const { client, socket } = await greeted(t)
  const sent = client.send('c', 'hello')
  const frame = await socket.next('send')
  socket.refuse(frame, 'FORBIDDEN')
  await t.rejects(sent, { code: 'FORBIDDEN' })
  const m = frame.m as string
  t.match(client.pending('c'), [{ state: 'failed', error: { code: 'FORBIDDEN' } }])
  client.retry('c', m)
  t.match(client.pending('c') as PendingMessage[], [{ m, state: 'sending' }])
  const again = await socket.next('send')
  t.equal(again.m, m, 'it is the same message')
  client.discard('c', m)
  t.equal(client.pending('c').length, 1, 'a message in flight cannot be discarded')
  const failed = once(client, 'pending')
  socket.refuse(again, 'FORBIDDEN')
  await failed
  client.discard('c', m)
  t.same(client.pending('c'), [])
})

t.test('events as an iterator, of one conversation or all', async t => {
  const { client, socket } = await greeted(t)
  const abort = new AbortController()
  const all = client.events({ signal: abort.signal })
  const mine = client.events({ c: 'c' })
  socket.send({ ...posted(1), c: 'other' })
  socket.send(posted(1))
  t.match(await all.next(), { value: { c: 'other' } })
  t.match(await all.next(), { value: { c: 'c' } })
  t.match(await mine.next(), { value: { c: 'c' } })
  abort.abort()
  t.match(await all.next(), { done: true })
  const waiting = mine.next()
  client.close()
  t.match(await waiting, { done: true })
})
