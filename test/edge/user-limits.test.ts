import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { LargeAnswers } from '../../src/edge/requests/answers.ts'
import { Session, type Transport } from '../../src/edge/sessions/session.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import { SlowConsumers, WriteRoom } from '../../src/edge/sessions/slow-consumers.ts'
import { startConfab } from '../harness/confab.ts'

/** A session whose transport buffers this many bytes. */
const sessionOf = (registry: SessionRegistry, user: string, bytes = 0): Session => {
  const session = new Session('json', undefined, 0)
  session.user = user
  session.phase = 'open'
  const transport: Transport = {
    send: () => 1,
    cork: send => send(),
    getBufferedAmount: () => bytes,
    subscribe: () => {},
    unsubscribe: () => {},
    end: () => {
      session.phase = 'closed'
      registry.closed(session)
    },
  }
  session.ws = transport
  registry.opened(session)
  return session
}

t.test('the sessions of one user may buffer only so many bytes together', async t => {
  const registry = new SessionRegistry()
  const slow = [400, 900, 300, 800].map(bytes => sessionOf(registry, 'slow', bytes))
  const other = sessionOf(registry, 'other', 950)
  const consumers = new SlowConsumers(registry, {
    most: 10_000,
    userMost: 1_000,
    slowFrom: 5_000,
    onSlow: () => t.fail('no session is a slow consumer alone'),
  })
  consumers.check()
  t.same(
    slow.map(session => session.closed),
    [false, true, false, true],
    'the slowest are closed until the rest is within the limit',
  )
  t.notOk(other.closed, 'another user has its own limit')
  t.equal(consumers.count(), 1_650)
  t.equal(consumers.load, 0.165)
})

t.test('without a limit per user only the limit of the node counts', async t => {
  const registry = new SessionRegistry()
  const sessions = [400, 900, 300].map(bytes => sessionOf(registry, 'slow', bytes))
  const options = { userMost: 0, slowFrom: 5_000, onSlow: () => {} }
  new SlowConsumers(registry, { ...options, most: 2_000 }).check()
  t.notOk(sessions.some(session => session.closed))
  new SlowConsumers(registry, { ...options, most: 1_000 }).check()
  t.same(
    sessions.map(session => session.closed),
    [false, true, false],
  )
})

t.test(
  'large answers of one user are bounded over all its sessions, and one session cannot take all',
  async t => {
    const registry = new SessionRegistry()
    const answers = new LargeAnswers(new WriteRoom(1_000, 1_000), { largeAnswers: 8, userLargeAnswers: 32 })
    const started = new Map<Session, number>()
    const held = Promise.withResolvers<void>()
    const ask = (session: Session) =>
      answers.answer(
        session,
        async () => {
          started.set(session, (started.get(session) ?? 0) + 1)
          await held.promise
        },
        () => {},
      )
    const sessions = Array.from({ length: 10 }, () => sessionOf(registry, 'alice'))
    const all = [Array.from({ length: 20 }, () => ask(sessions[0]!))]
    await sleep(10)
    t.equal(started.get(sessions[0]!), 8)
    for (const session of sessions.slice(1)) all.push(Array.from({ length: 20 }, () => ask(session)))
    await sleep(10)
    const total = () => [...started.values()].reduce((sum, count) => sum + count, 0)
    t.equal(total(), 32)
    const bob = sessionOf(registry, 'bob')
    all.push([ask(bob)])
    await sleep(10)
    t.equal(started.get(bob), 1, 'another user has its own limit')
    held.resolve()
    await Promise.all(all.flat())
    t.equal(total(), 201)
  },
)

t.test('the unanswered requests of one user are bounded over all its sessions and HTTP', async t => {
  const { connect, token, url, metrics } = await startConfab(t, {
    limits: { userInFlight: 3, seenWaitMs: 3_000 },
  })
  const [one, other, bob] = [await connect('alice'), await connect('alice'), await connect('bob')]
  // The inbox waits for a conversation that does not exist.
  const seen = { nowhere: 1 }
  const waiting = [
    one.request('inbox', { seen }),
    one.request('inbox', { seen }),
    other.request('inbox', { seen }),
  ]
  await sleep(200)
  t.equal(await other.code('ping'), 'OVERLOADED')
  t.equal(await one.code('inbox'), 'OVERLOADED')
  const headers = { authorization: `Bearer ${await token('alice')}` }
  t.equal((await fetch(`${url}/v1/inbox`, { headers })).status, 503)
  t.equal(await bob.code('ping'), 'ok')
  for (const answer of await Promise.all(waiting)) t.match(answer, { ok: true, behind: true })
  t.equal(await other.code('ping'), 'ok')
  t.equal((await fetch(`${url}/v1/inbox`, { headers })).status, 200)
  t.match(await metrics(), /confab_edge_limited_total\{limit="in_flight"\} 3/)
})

t.test('requests that arrive while hello runs are bounded in bytes', async t => {
  const { socket } = await startConfab(t, {
    edge: {
      tokens: {
        verify: async () => {
          await sleep(1_000)
          return { user: 'alice', expiresAt: 0, issuedAt: 0, token: 'x' }
        },
      },
    },
  })
  const client = await socket()
  const hello = client.request('hello', { token: 'x' })
  const ids = Array.from({ length: 10 }, (_, n) => `ping${n}`)
  const asked = ids.map(id => client.find(frame => frame.re === id))
  // White space between the tokens of JSON.
  for (const id of ids) client.send(JSON.stringify({ id, t: 'ping' }).padEnd(60_000))
  const answers = (await Promise.all(asked)).map(({ ok, error }) =>
    ok === true ? 'ok' : (error as { code: string }).code,
  )
  t.match(await hello, { ok: true })
  t.same(answers, [...Array(4).fill('ok'), ...Array(6).fill('OVERLOADED')])
})
