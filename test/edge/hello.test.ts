import { SignJWT } from 'jose'
import t from 'tap'
import { startConfab, testSecret } from '../harness/confab.ts'

const confab = await startConfab(t, { limits: { helloMs: 600 } })

const expiring = (seconds: number) =>
  new SignJWT({ sub: 'alice' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(testSecret))

t.test('is answered with the user, and the node’s limits', async t => {
  const socket = await confab.socket()
  const answer = await socket.ok('hello', { token: await confab.token('alice') })
  t.match(answer, { user: 'alice', epoch: 1, heartbeatMs: 25_000, session: /^[\w-]{36}$/ })
  t.match(answer.limits, { textBytes: 16_384, frameBytes: 65_536, inFlight: Number })
  t.equal(await socket.code('hello', { token: await confab.token('alice') }), 'BAD_REQUEST', 'only once')
})

t.test('an invalid token closes the socket with 4001, after the answer', async t => {
  for (const token of ['nonsense', await expiring(-60), undefined]) {
    const socket = await confab.socket()
    t.equal(await socket.code('hello', { token }), 'UNAUTHENTICATED')
    t.match(await socket.closed, { code: 4001 })
  }
})

t.test('an expiring token ends the session with 4001', async t => {
  const socket = await confab.socket()
  await socket.ok('hello', { token: await expiring(1) })
  t.match(await socket.closed, { code: 4001 })
})

t.test('no hello: 4002; any other request before it: UNAUTHENTICATED, ten times', async t => {
  const silent = await confab.socket()
  t.match(await silent.closed, { code: 4002 })

  const talking = await confab.socket()
  for (let n = 0; n < 10; n++) talking.send({ id: String(n), t: 'history', c: 'tea' })
  t.match(await talking.closed, { code: 1008 })
  t.equal(talking.frames.length, 10)
  for (const frame of talking.frames) t.match(frame, { ok: false, error: { code: 'UNAUTHENTICATED' } })
})

t.test('an invalid hello can be repeated correctly', async t => {
  const socket = await confab.socket()
  const token = await confab.token('alice')
  t.match((await socket.request('hello', { token, device: 'a b' })).error, {
    code: 'BAD_REQUEST',
    field: '/device',
  })
  t.equal(await socket.code('hello', { token, resume: { 'no id': 1 } }), 'BAD_REQUEST')
  await socket.ok('hello', { token })
})

t.test('requests may be pipelined with hello', async t => {
  const socket = await confab.socket()
  socket.send({ id: '1', t: 'hello', token: await confab.token('alice') })
  socket.send({ id: '2', t: 'create', c: 'eager', kind: 'group', members: [] })
  socket.send({ id: '3', t: 'send', c: 'eager', m: 'm1', text: 'first' })
  t.match(await socket.find(frame => frame.re === '3'), { ok: true, seq: 2 })
  t.same(
    socket.frames.filter(frame => 're' in frame).map(frame => frame.re),
    ['1', '2', '3'],
  )
  const refused = await confab.socket()
  refused.send({ id: '1', t: 'hello', token: 'nonsense' })
  refused.send({ id: '2', t: 'history', c: 'eager' })
  t.match(await refused.closed, { code: 4001 })
  t.notMatch(JSON.stringify(refused.frames), /"ok":true/)
})

t.test('the token may be in the header', async t => {
  const bearer = async (user: string) => ({ authorization: `Bearer ${await confab.token(user)}` })
  const socket = await confab.socket({ headers: await bearer('alice') })
  t.equal(await socket.code('ping'), 'UNAUTHENTICATED', 'hello is required nevertheless')
  t.match(await socket.ok('hello'), { user: 'alice' })
  const both = await confab.socket({ headers: await bearer('alice') })
  t.match(
    await both.ok('hello', { token: await confab.token('bob') }),
    { user: 'bob' },
    'the frame’s token takes precedence',
  )
  const bad = await confab.socket({ headers: { authorization: 'Bearer nonsense' } })
  t.equal(await bad.code('hello'), 'UNAUTHENTICATED')
  t.match(await bad.closed, { code: 4001 })
})

t.test('the same user and device: the later socket replaces the earlier one', async t => {
  const first = await confab.connect('alice', { device: 'phone' })
  const other = await confab.connect('alice', { device: 'tablet' })
  const nameless = await confab.connect('alice')
  const stranger = await confab.connect('bob', { device: 'phone' })
  const second = await confab.connect('alice', { device: 'phone' })
  t.match(await first.closed, { code: 4003 })
  for (const socket of [other, nameless, stranger, second]) await socket.ok('ping')
})

t.test('subprotocols', async t => {
  t.equal((await confab.socket()).subprotocol, '')
  t.equal((await confab.socket({ subprotocol: 'confab.v1.json' })).subprotocol, 'confab.v1.json')
  t.equal((await confab.socket({ subprotocol: 'confab.v1.msgpack' })).subprotocol, 'confab.v1.msgpack')
  await t.rejects(confab.socket({ subprotocol: 'soap' as 'confab.v1.json' }))
})
