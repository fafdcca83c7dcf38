import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import t, { type Test } from 'tap'
import type { StoredRevocation } from '../../src/edge/index.ts'
import { RevocationList } from '../../src/edge/sessions/revocations.ts'
import { CloseCode } from '../../src/events/index.ts'
import { createSessionQueries, openRevocationBucket, type Revocation } from '../../src/infra/nats/index.ts'
import { startConfab, type TestConfab, testSecret } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

const grpc = { edge: { grpcPort: 0 } }
const here = await startConfab(t, grpc)
const there = await startConfab(t, { nats: here.nats, ...grpc })
const nodes = [here, there]

const keepMs = 30 * 86_400_000
const operator = await openRevocationBucket(await here.nats.connect(), { keepMs })
const queries = createSessionQueries(await here.nats.connect())

/** Signs a token that was issued some seconds ago; undefined: it does not say when. */
const tokenOf = (user: string, ageSeconds: number | undefined = 10): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  const token = new SignJWT({ jti: `${Math.random()}` })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime(now + 3_600)
  if (ageSeconds !== undefined) token.setIssuedAt(now - ageSeconds)
  return token.sign(new TextEncoder().encode(testSecret))
}
const ageless = (user: string): Promise<string> => {
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setExpirationTime(now + 3_600)
    .sign(new TextEncoder().encode(testSecret))
}

/** An open session of any transport: how it ended, and whether it is still open. */
interface Opened {
  readonly transport: string
  readonly ended: Promise<unknown>
}

const overWebSocket = async (
  { socket }: TestConfab,
  token: string,
  device?: string,
): Promise<Opened & { client: RawClient }> => {
  const client = await socket()
  await client.ok('hello', { token, device })
  return { transport: 'WebSocket', client, ended: client.closed }
}

const overSse = async ({ url }: TestConfab, token: string): Promise<Opened> => {
  const answer = await fetch(`${url}/v1/stream`, { headers: { authorization: `Bearer ${token}` } })
  if (answer.status !== 200) throw new Error(`the stream was answered ${answer.status}`)
  const read = async (): Promise<unknown> => {
    let text = ''
    // The connection closes without the last chunk of the body.
    try {
      for await (const chunk of answer.body ?? []) text += Buffer.from(chunk).toString()
    } catch {}
    const last = text.trim().split('\n').at(-1) ?? ''
    return last.startsWith('data: ') ? JSON.parse(last.slice('data: '.length)) : 'cut'
  }
  return { transport: 'event stream', ended: read() }
}

const overGrpc = async ({ edge }: TestConfab, token: string): Promise<Opened> => {
  const client = new GrpcClient(edge.grpcPort ?? 0, { token })
  await client.ok('hello')
  const ended = client.ended.then(({ code, details, metadata }) => ({
    code: Number(metadata.get('confab-close-code')[0]),
    reason: details,
    status: code,
  }))
  return { transport: 'gRPC', ended }
}

const transports = [overWebSocket, overSse, overGrpc]

/** Opens a session over each transport at each node. */
const openAll = (token: string): Promise<Opened[]> =>
  Promise.all(nodes.flatMap(node => transports.map(open => open(node, token))))

const statusOf = async ({ url }: TestConfab, token: string): Promise<number> =>
  (await fetch(`${url}/v1/inbox`, { headers: { authorization: `Bearer ${token}` } })).status

const helloOf = async ({ socket }: TestConfab, token: string): Promise<unknown> => {
  const client = await socket()
  const { ok, error } = await client.request('hello', { token })
  return ok === true ? 'ok' : [(error as Fields).code, (error as Fields).message]
}

const refused = ['UNAUTHENTICATED', 'The token is not valid: it was revoked.']

/** Checks that all nodes refuse a token over all transports. */
const areRefused = async (t: Test, token: string): Promise<void> => {
  for (const node of nodes) {
    t.equal(await statusOf(node, token), 401, 'HTTP')
    t.same(await helloOf(node, token), refused, 'WebSocket')
    await t.rejects(overSse(node, token), /answered 401/)
    const call = new GrpcClient(node.edge.grpcPort ?? 0, { token })
    t.equal(await call.code('hello'), 'UNAUTHENTICATED', 'gRPC')
    call.close()
  }
}

const areClosed = async (t: Test, opened: readonly Opened[]): Promise<void> => {
  for (const { transport, ended } of opened)
    t.match(await ended, { code: CloseCode.revoked, reason: 'revoked' }, transport)
}

const untilListed = async (user: string, matching: number): Promise<void> => {
  const count = async () =>
    (await queries.ask({ user, limit: 1 }, nodes.length)).reduce((sum, node) => sum + node.matching, 0)
  while ((await count()) !== matching) await sleep(20)
}

t.test('a revocation closes the sessions of all transports at all nodes, and refuses the tokens', async t => {
  const cases: [name: string, user: string, revocation: (token: string) => Promise<Revocation>][] = [
    ['of a user', 'anna', async () => ({ of: 'user', user: 'anna', before: Date.now() })],
    [
      'of a token',
      'bert',
      async () => {
        const [node] = await queries.ask({ user: 'bert', limit: 1 }, nodes.length)
        return { of: 'token', user: 'bert', token: node?.sessions[0]?.token ?? '' }
      },
    ],
    [
      'of a user by issue time',
      'cleo',
      async () => ({ of: 'user', user: 'cleo', before: Date.now() - 5_000 }),
    ],
  ]
  for (const [name, user, revocation] of cases)
    await t.test(name, async t => {
      const token = await tokenOf(user)
      const other = await tokenOf(`${user}-2`)
      const opened = await openAll(token)
      const [, , , untouched] = await openAll(other)
      await untilListed(user, opened.length)
      t.equal(await statusOf(here, token), 200)
      const started = performance.now()
      await operator.put(await revocation(token))
      await areClosed(t, opened)
      t.comment(`${opened.length} sessions closed after ${Math.round(performance.now() - started)} ms`)
      await areRefused(t, token)
      t.equal(await statusOf(there, other), 200, 'other users are not concerned')
      t.equal((await Promise.race([untouched?.ended, sleep(50, 'open')])) as string, 'open')
    })
})

t.test('by issue time: newer tokens stay, tokens without iat count as older', async t => {
  const [old, recent, without] = [
    await tokenOf('dora', 600),
    await tokenOf('dora', 60),
    await ageless('dora'),
  ]
  const [closing, staying, unknown] = [
    await overWebSocket(there, old),
    await overSse(here, recent),
    await overGrpc(here, without),
  ]
  await untilListed('dora', 3)
  await operator.put({ of: 'user', user: 'dora', before: Date.now() - 300_000 })
  await areClosed(t, [closing, unknown])
  await areRefused(t, old)
  await areRefused(t, without)
  t.equal(await statusOf(here, recent), 200)
  t.equal(await Promise.race([staying.ended, sleep(50, 'open')]), 'open')

  await operator.put({ of: 'user', user: 'dora', before: Date.now() - 900_000 })
  t.equal(await statusOf(here, old), 401, 'a revocation of an earlier time takes nothing back')
  const later = await startConfab(t, { nats: here.nats })
  t.equal(await statusOf(later, old), 401, 'nor does it in the store')
})

t.test('a node that starts later knows the revocations', async t => {
  const token = await tokenOf('emil')
  await operator.put({ of: 'user', user: 'emil', before: Date.now() })
  const later = await startConfab(t, { nats: here.nats })
  t.equal(await statusOf(later, token), 401)
  t.same(await helloOf(later, token), refused)
  let fresh = await tokenOf('emil', 0)
  // A token of the same second counts as issued before.
  while ((await statusOf(later, fresh)) === 401) fresh = await tokenOf('emil', 0)
  t.equal(await statusOf(here, fresh), 200, 'the user signs in again')
})

t.test('a token that is revoked while its hello waits opens no session', async t => {
  let arrived = () => {}
  const asked = new Promise<void>(resolve => {
    arrived = resolve
  })
  let release = () => {}
  const released = new Promise<void>(resolve => {
    release = resolve
  })
  const slow = await startConfab(t, {
    nats: here.nats,
    wrapViews: views => ({
      ...views,
      positions: name => views.positions(name),
      roster: Object.assign(Object.create(views.roster) as typeof views.roster, {
        conversationsOf: async (user: string) => {
          if (user === 'fred') {
            arrived()
            await released
          }
          return await views.roster.conversationsOf(user)
        },
      }),
    }),
  })
  const token = await tokenOf('fred')
  const hello = helloOf(slow, token)
  const stream = overSse(slow, token)
  stream.catch(() => {})
  await asked
  await operator.put({ of: 'user', user: 'fred', before: Date.now() })
  while ((await statusOf(slow, token)) !== 401) await sleep(20)
  release()
  t.same(await hello, refused)
  await t.rejects(stream, /answered 401/)
})

t.test('revocations survive a restart of NATS and an interrupted connection', async t => {
  const token = await tokenOf('gina')
  const other = await tokenOf('gina')
  const session = await overWebSocket(there, token)
  await untilListed('gina', 1)
  await here.nats.kill9()
  // Without NATS for a while, no node knows what is revoked.
  const readiness = async () => (await here.edge.readiness()).revocations
  while ((await readiness()) !== false) await sleep(100)
  t.equal(await statusOf(here, other), 503)
  await here.nats.restart()
  while ((await readiness()) !== true) await sleep(100)
  for (;;)
    try {
      await operator.put({ of: 'user', user: 'gina', before: Date.now() })
      break
    } catch {
      await sleep(100)
    }
  await areClosed(t, [session])
  while ((await statusOf(here, other)) === 503) await sleep(100)
  await areRefused(t, other)
  const anna = await tokenOf('anna', 3_000)
  const later = await startConfab(t, { nats: here.nats })
  t.equal(await statusOf(later, anna), 401, 'from before the restart')
})

t.test('`sessions` lists the own sessions of all nodes and ends one', async t => {
  const [one, two, three] = await Promise.all([
    overWebSocket(here, await tokenOf('hans'), 'phone'),
    overWebSocket(there, await tokenOf('hans'), 'phone'),
    overSse(there, await tokenOf('hans')),
  ])
  await overWebSocket(here, await tokenOf('ida'))
  // The same device at the other node has replaced it, or is about to.
  await Promise.race([one.ended, two.ended])
  const { client } = await overWebSocket(here, await tokenOf('hans', 20), 'phone')
  await untilListed('hans', 2)
  const { sessions } = (await client.ok('sessions')) as { sessions: Fields[] }
  t.equal(sessions.length, 2)
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
  t.match(sessions[0], {
    device: 'phone',
    transport: 'websocket',
    address: '127.0.0.1',
    since: time,
    active: time,
    current: true,
  })
  t.match(sessions[1], { transport: 'event-stream', since: time, current: undefined, device: undefined })
  t.notOk(Object.keys(sessions[0] ?? {}).some(key => key === 'token' || key === 'node'))

  t.same(((await client.request('sessions', { end: 'none' })).error as Fields).field, '/end')
  const foreign = (await queries.ask({ user: 'ida', limit: 1 }, nodes.length)).flatMap(node => node.sessions)
  t.equal(await client.code('sessions', { end: foreign[0]?.session }), 'NOT_FOUND', 'of another user')

  const left = (await client.ok('sessions', { end: sessions[1]?.session })) as { sessions: Fields[] }
  t.same(
    left.sessions.map(({ session }) => session),
    [sessions[0]?.session],
  )
  await areClosed(t, [three])
  t.equal(await client.code('ping'), 'ok')
})

t.test('`sessions` over HTTP and gRPC', async t => {
  const token = await tokenOf('jens')
  const session = await overSse(there, token)
  const call = new GrpcClient(here.edge.grpcPort ?? 0, { token: await tokenOf('jens') })
  await call.ok('hello')
  await untilListed('jens', 2)
  const { sessions } = (await call.ok('sessions')) as { sessions: Fields[] }
  t.same(sessions.map(({ transport }) => transport).sort(), ['event-stream', 'grpc'])
  const end = sessions.find(({ transport }) => transport === 'event-stream')?.session
  const answer = await fetch(`${here.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenOf('jens')}` },
    body: JSON.stringify({ id: '1', t: 'sessions', end }),
  })
  t.match(await answer.json(), { ok: true, sessions: [{ transport: 'grpc' }] })
  await areClosed(t, [session])
  await areRefused(t, token)
  call.close()
})

t.test('sessions of one token end together, and a user may not fill the store', async t => {
  const client = (await overWebSocket(here, await tokenOf('karl'))).client
  const shared = await tokenOf('karl')
  const [one, two] = [await overSse(here, shared), await overSse(there, shared)]
  await untilListed('karl', 3)
  const idOf = async () => {
    const { sessions } = (await client.ok('sessions')) as { sessions: Fields[] }
    return sessions.find(({ current }) => current === undefined)?.session
  }
  await client.ok('sessions', { end: await idOf() })
  await areClosed(t, [one, two])
  for (let i = 1; i < 100; i++) await operator.put({ of: 'token', user: 'karl', token: `token-${i}` })
  const last = await overSse(there, await tokenOf('karl'))
  await untilListed('karl', 2)
  let code = 'ok'
  // The node may not have received all of them yet.
  const end = await idOf()
  code = await client.code('sessions', { end })
  t.equal(code, 'RATE_LIMITED')
  t.equal(await Promise.race([last.ended, sleep(50, 'open')]), 'open')
})

t.test('queries return pages in one order, for all nodes', async t => {
  const users = Array.from({ length: 25 }, (_, i) => `page-${i}`)
  await Promise.all(users.map(async (user, i) => overSse(nodes[i % 2]!, await tokenOf(user))))
  for (const user of users) await untilListed(user, 1)
  const found: string[] = []
  let after: string | undefined
  for (;;) {
    const answers = await queries.ask({ limit: 4, ...(after === undefined ? {} : { after }) }, nodes.length)
    const page = answers
      .flatMap(({ sessions }) => sessions)
      .map(({ user, session }) => `${user},${session}`)
      .sort()
      .slice(0, 4)
    if (page.length === 0) break
    found.push(...page)
    after = page.at(-1)
  }
  t.same(found, [...found].sort(), 'sorted')
  t.equal(new Set(found).size, found.length, 'each once')
  const ofPages = found.filter(key => key.startsWith('page-'))
  t.equal(ofPages.length, users.length)
  const [node] = await queries.ask({ limit: 4, issuedBefore: Date.now() - 3_600_000 }, nodes.length)
  t.equal(node?.matching, 0, 'no token is an hour old')
})

t.test('of everyone: last, because it ends all sessions of this test', async t => {
  const old = await tokenOf('lena', 500)
  const recent = await tokenOf('lena', 50)
  const opened = await openAll(old)
  const staying = await overSse(here, recent)
  await untilListed('lena', opened.length + 1)
  await operator.put({ of: 'everyone', before: Date.now() - 300_000 })
  await areClosed(t, opened)
  await areRefused(t, old)
  t.equal(await statusOf(here, recent), 200)
  t.equal(await Promise.race([staying.ended, sleep(50, 'open')]), 'open')
})

t.test('the list of revocations forgets what concerns no valid token', async t => {
  const list = new RevocationList(1_000)
  const identity = { user: 'u', expiresAt: 0, issuedAt: 5, token: 'x' }
  const add = (revocation: Revocation, at: number) => list.add({ ...revocation, at } as StoredRevocation)
  add({ of: 'user', user: 'u', before: 5_000 }, 0)
  t.equal(list.concerns(identity), false, 'issued at that time, not before')
  add({ of: 'user', user: 'u', before: 5_001 }, 0)
  t.equal(list.concerns(identity), true)
  add({ of: 'user', user: 'u', before: 4_000 }, 500)
  t.equal(list.concerns(identity), true, 'an earlier time takes nothing back')
  add({ of: 'token', user: 'v', token: 'y' }, 0)
  add({ of: 'token', user: 'v', token: 'y' }, 0)
  add({ of: 'token', user: 'v', token: 'z' }, 700)
  t.same([list.size, list.tokensOf('v')], [3, 2])
  list.sweep(1_000)
  t.same([list.size, list.tokensOf('v')], [2, 1])
  t.equal(list.concerns({ ...identity, user: 'v', token: 'z' }), true)
  list.sweep(1_700)
  t.same([list.size, list.tokensOf('v'), list.concerns(identity)], [0, 0, false])
})
