import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Limits } from '../../src/events/index.ts'
import { startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

const here = await startConfab(t, { limits: { callMembers: 4 } })
const there = await startConfab(t, { nats: here.nats, limits: { callMembers: 4 } })

const alice = await here.connect('alice')
const bob = await there.connect('bob', { subprotocol: 'confab.v1.msgpack' })
const carol = await there.connect('carol')
await alice.ok('create', { c: 'pair', kind: 'direct', members: ['bob'] })
await alice.ok('create', { c: 'three', kind: 'group', members: ['bob', 'carol'] })
await bob.event('pair', 1)
await carol.event('three', 1)

const sdp = 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=é\r\n'
const offer = (fields: Fields): Fields => ({
  c: 'pair',
  to: 'bob',
  call: 'c1',
  kind: 'offer',
  data: sdp,
  ...fields,
})

/** Resolves with a call signal, past or future. */
const signal = (client: RawClient, call: string, kind = 'offer') =>
  client.find(frame => frame.type === 'call' && frame.call === call && frame.kind === kind)

const calls = (client: RawClient) => client.frames.filter(frame => frame.type === 'call')

/**
 * Waits until everything that `from` has sent to `to` has arrived or is lost: signals of one edge keep their order.
 */
let marks = 0
const passed = async (from: RawClient, to: RawClient, user: string, c = 'three') => {
  const call = `mark${marks++}`
  await from.ok('call', { c, to: user, call, kind: 'bye' })
  await signal(to, call, 'bye')
}

t.test('a call from offer to end, between edges, in both encodings', async t => {
  await alice.ok('call', offer({}))
  const heard = await signal(bob, 'c1')
  t.match(heard, {
    t: 'signal',
    type: 'call',
    c: 'pair',
    user: 'alice',
    call: 'c1',
    kind: 'offer',
    data: sdp,
  })
  await alice.ok('call', offer({ kind: 'candidate', data: '{"candidate":"…"}' }))
  await signal(bob, 'c1', 'candidate')
  await bob.ok('call', offer({ to: 'alice', session: heard.session, kind: 'answer', data: 'v=0' }))
  const answer = await signal(alice, 'c1', 'answer')
  t.match(answer, { user: 'bob', data: 'v=0' })
  await alice.ok('call', { c: 'pair', to: 'bob', session: answer.session, call: 'c1', kind: 'bye' })
  t.notOk('data' in (await signal(bob, 'c1', 'bye')))
  t.same((await alice.ok('history', { c: 'pair' })).head, 1, 'nothing is stored')
})

t.test('all sessions of a user ring; one answers and notifies the others', async t => {
  const laptop = await here.connect('bob')
  const tablet = await there.connect('bob')
  await alice.ok('call', offer({ call: 'c2' }))
  const rings = await Promise.all([bob, laptop, tablet].map(client => signal(client, 'c2')))
  const session = rings[0]?.session
  t.type(session, 'string')
  await laptop.ok('call', { c: 'pair', to: 'bob', call: 'c2', kind: 'bye', data: 'answered elsewhere' })
  await Promise.all([bob, tablet].map(client => signal(client, 'c2', 'bye')))
  await laptop.ok('call', offer({ to: 'alice', session, call: 'c2', kind: 'answer' }))
  const answer = await signal(alice, 'c2', 'answer')
  await alice.ok('call', offer({ session: answer.session, call: 'c2', kind: 'candidate' }))
  await signal(laptop, 'c2', 'candidate')
  await passed(alice, tablet, 'bob')
  await passed(alice, laptop, 'bob')
  t.same(
    calls(laptop).filter(({ kind, call }) => call === 'c2' && kind === 'bye'),
    [],
  )
  for (const other of [bob, tablet])
    t.same(
      calls(other).filter(({ kind, call }) => call === 'c2' && kind === 'candidate'),
      [],
    )
  laptop.close()
  tablet.close()
})

t.test('event streams receive calls, HTTP makes them', async t => {
  const stream = new EventSourceClient(there.url, await there.token('bob'))
  t.teardown(() => stream.stop())
  await stream.until(() => stream.of('hello').length > 0)
  const answer = await fetch(`${here.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await here.token('alice')}` },
    body: JSON.stringify({ id: '1', t: 'call', ...offer({ call: 'c3' }) }),
  })
  t.same(await answer.json(), { re: '1', ok: true })
  await stream.until(() => stream.of('signal').some(({ call }) => call === 'c3'))
  t.notOk('session' in (await signal(bob, 'c3')), 'there is no session to answer to')
})

t.test('only members can call, and only members', async t => {
  const eve = await there.connect('eve')
  t.equal(await eve.code('call', offer({ call: 'c4' })), 'NOT_FOUND')
  t.equal(await eve.code('call', offer({ c: 'nowhere', call: 'c4' })), 'NOT_FOUND')
  for (const to of ['eve', 'carol', 'nobody'])
    t.match(await alice.request('call', offer({ to, call: 'c4' })), {
      error: { code: 'NOT_FOUND', field: '/to', message: 'to: not a member of the conversation.' },
    })
  await alice.ok('call', offer({ c: 'three', to: 'carol', call: 'c4' }))
  await signal(carol, 'c4')
  await passed(alice, bob, 'bob')
  t.same(
    calls(bob).filter(({ call }) => call === 'c4'),
    [],
    'the signal is for one user, not for all',
  )
  t.same(calls(eve), [])
})

t.test('a removed user neither calls nor is called', async t => {
  const dave = await there.connect('dave')
  await alice.ok('invite', { c: 'three', user: 'dave' })
  await alice.ok('call', offer({ c: 'three', to: 'dave', call: 'c5' }))
  await signal(dave, 'c5')
  const { seq } = await alice.ok('remove', { c: 'three', user: 'dave' })
  t.equal(await dave.code('call', offer({ c: 'three', to: 'alice', call: 'c6' })), 'NOT_FOUND')
  t.equal(await alice.code('call', offer({ c: 'three', to: 'dave', call: 'c6' })), 'NOT_FOUND')
  await dave.event('three', seq as number)
  // As another edge would send it that has not received the removal.
  const push = { t: 'signal', type: 'call', c: 'three', user: 'alice', call: 'c6', kind: 'offer', data: sdp }
  here.signals.publish('dave', { k: 'call', to: 'dave', push })
  here.signals.publish('bob', { k: 'call', to: 'bob', push: { ...push, user: 'dave' } })
  await passed(alice, bob, 'bob')
  await sleep(50)
  t.same(
    calls(dave).filter(({ call }) => call === 'c6'),
    [],
  )
  t.same(
    calls(bob).filter(({ call }) => call === 'c6'),
    [],
  )
  t.same(
    calls(alice).filter(({ call }) => call === 'c6'),
    [],
  )
})

t.test('a blocked user is not called, in any conversation', async t => {
  await carol.ok('block', { user: 'alice', on: true })
  for (const [from, to] of [
    [alice, 'carol'],
    [carol, 'alice'],
  ] as const) {
    let code = 'ok'
    // Another edge receives the block a little later.
    for (let n = 0; n < 200 && code === 'ok'; n++)
      code = await from.code('call', offer({ c: 'three', to, call: 'c7', kind: 'candidate' }))
    t.equal(code, 'FORBIDDEN')
  }
  await carol.ok('block', { user: 'alice', on: false })
})

t.test('large conversations have no calls', async t => {
  await alice.ok('create', { c: 'large', kind: 'group', members: ['bob', 'carol', 'u1', 'u2'] })
  t.equal(await alice.code('call', offer({ c: 'large' })), 'FORBIDDEN')
})

t.test('the request is validated and bounded', async t => {
  const most = 'é'.repeat(Limits.callBytes / 2)
  await alice.ok('call', offer({ call: 'c8', data: most }))
  t.equal((await signal(bob, 'c8')).data, most)
  for (const data of [`${most}x`, 'x'.repeat(Limits.callBytes + 1)])
    t.match(await alice.request('call', offer({ data })), { error: { code: 'TOO_LARGE', field: '/data' } })
  for (const [field, fields] of [
    ['/to', { to: 'no id' }],
    ['/to', { to: undefined }],
    ['/call', { call: '' }],
    ['/kind', { kind: 'renegotiate' }],
    ['/session', { session: 7 }],
    ['/data', { data: { type: 'offer' } }],
    ['/data', { data: undefined }],
    ['/data', { data: '\ud800' }],
  ] as const)
    t.match(await alice.request('call', offer(fields)), { error: { code: 'BAD_REQUEST', field } })
})

t.test('a user has a rate of signals', async t => {
  const brief = await startConfab(t, { nats: here.nats, limits: { callSignals: 5, burstMs: 1_000 } })
  const one = await brief.connect('alice')
  const other = await brief.connect('alice')
  const started = performance.now()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      (n % 2 === 0 ? one : other).request('call', offer({ call: 'c9', kind: 'candidate' })),
    ),
  )
  const seconds = (performance.now() - started) / 1_000
  const refused = answers.filter(({ ok }) => ok === false)
  const passed = answers.length - refused.length
  t.ok(passed >= 5 && passed <= 6 + 5 * seconds, `${passed} passed in ${seconds} s`)
  for (const { error } of refused as { error: { code: string; retryAfterMs: number } }[]) {
    t.equal(error.code, 'RATE_LIMITED')
    t.ok(error.retryAfterMs > 0 && error.retryAfterMs <= 1_000)
  }
  const metrics = await brief.metrics()
  t.match(metrics, new RegExp(`confab_edge_limited_total\\{limit="call_rate"\\} ${refused.length}\\n`))
  t.equal(await one.code('ping'), 'ok', 'other requests continue')
})
