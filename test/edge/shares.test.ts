import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { EdgeLimits } from '../../src/edge/index.ts'
import { LastSeen } from '../../src/edge/presence/last-seen.ts'
import { Session, type Transport } from '../../src/edge/sessions/session.ts'
import { SessionRegistry } from '../../src/edge/sessions/session-registry.ts'
import { SlowConsumers } from '../../src/edge/sessions/slow-consumers.ts'
import { Family } from '../../src/events/index.ts'
import { nodeBounds } from '../../src/infra/config/index.ts'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import type { MediaStore } from '../../src/media/index.ts'
import type { Views } from '../../src/projections/index.ts'
import { setUp } from '../commands/one-node.ts'
import { type ConfabOptions, startConfab } from '../harness/confab.ts'
import { EventSourceClient } from '../harness/event-source.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'
import type { RawClient } from '../harness/raw-client.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, httpOf, png, putParts, type UploadAnswer } from '../harness/upload.ts'

const times = <T>(count: number, make: (n: number) => T): T[] =>
  Array.from({ length: count }, (_, n) => make(n))

const codesOf = async (answers: readonly Promise<string>[]): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const code of await Promise.all(answers)) counts[code] = (counts[code] ?? 0) + 1
  return counts
}

/** Returns an object whose method waits at a gate where `isHeld` says so, and counts the calls that wait. */
const gated = <T extends object>(target: T, method: keyof T, isHeld: (...args: never[]) => boolean) => {
  const gate = Promise.withResolvers<void>()
  let waiting = 0
  let most = 0
  const wrapped = new Proxy(target, {
    get(object, name) {
      const value = Reflect.get(object, name, object)
      if (name !== method) return typeof value === 'function' ? value.bind(object) : value
      return async (...args: never[]) => {
        if (isHeld(...args)) {
          most = Math.max(most, ++waiting)
          await gate.promise
          waiting--
        }
        return await (value as (...args: never[]) => unknown).apply(object, args)
      }
    },
  })
  return { wrapped, open: () => gate.resolve(), most: () => most }
}

const burstMs = 1_000

/** Users mallory and bob in a group each; the rate of mallory is unlimited. */
const start = async (t: Test, limits: Partial<EdgeLimits>, more: Omit<ConfabOptions, 'limits'> = {}) => {
  const confab = await startConfab(t, { limits: { ...noRates, burstMs, ...limits }, ...more })
  const group = async (user: string, c: string, members: readonly string[] = []): Promise<RawClient> => {
    const client = await confab.connect(user)
    await client.ok('create', { c, kind: 'group', members })
    await client.ok('send', { c, m: 'm1', text: 'tea' })
    return client
  }
  return { ...confab, group }
}

const sessionOf = (registry: SessionRegistry, user: string, bytes: number): Session => {
  const session = new Session('json', undefined, 0)
  session.user = user
  session.phase = 'open'
  session.ws = {
    send: () => 1,
    cork: send => send(),
    getBufferedAmount: () => bytes,
    subscribe: () => {},
    unsubscribe: () => {},
    end: () => {
      session.phase = 'closed'
    },
  } satisfies Transport
  registry.opened(session)
  return session
}

/** `edge.userInFlight` bounds the commands of a user at the edge, whichever bus they go to. */
const inFlight = async (t: Test): Promise<void> => {
  const { connect, bus } = await start(t, { userInFlight: 3, seenWaitMs: 2_000 }, { commands: { open: 4 } })
  const mallory = await connect('mallory')
  const held = times(3, () => mallory.request('inbox', { seen: { nowhere: 1 } }))
  await sleep(100)
  const create = (n: number) => mallory.code('create', { c: `m${n}`, kind: 'group', members: [] })
  t.same(await codesOf(times(10, create)), { OVERLOADED: 10 })
  const bob = await connect('bob')
  t.equal(await bob.code('create', { c: 'b', kind: 'group', members: [] }), 'ok')
  t.ok(bus.load < 1)
  await Promise.all(held)
}

/** A rate of a conversation: one member sends as fast as the member can, another one sends little. */
const conversationRate = async (t: Test, limits: Partial<EdgeLimits>, text: string): Promise<void> => {
  const { connect, group } = await start(t, limits)
  const bob = await group('bob', 'tea', ['mallory'])
  const mallory = await connect('mallory')
  const flood = await codesOf(times(60, n => mallory.code('send', { c: 'tea', m: `x${n}`, text })))
  t.ok((flood.RATE_LIMITED ?? 0) > 0, `${flood.RATE_LIMITED} refused`)
  t.same(await codesOf(times(3, n => bob.code('send', { c: 'tea', m: `b${n}`, text }))), { ok: 3 })
}

/** Fills a bound as one holder, and checks that others are served. By key of the bound and holder of the share. */
const scenarios: Readonly<Record<string, (t: Test) => Promise<void>>> = {
  'edge.resumes user': async t => {
    let gate: ReturnType<typeof gated<Views['timeline']>> | undefined
    const { group, connect, edge, token, url, feed } = await start(
      t,
      { resumes: 4, userResumes: 2, resumeCacheBytes: 0 },
      {
        edge: { grpcPort: 0 },
        wrapViews: views => {
          gate = gated(views.timeline, 'page', (c: string) => c.startsWith('held'))
          return { ...views, timeline: gate.wrapped }
        },
      },
    )
    await group('bob', 'tea')
    const mallory = await group('mallory', 'held0')
    const cursors = [0, 1, 2].map(n => `held${n}`)
    for (const c of cursors.slice(1)) {
      await mallory.ok('create', { c, kind: 'group', members: [] })
      await mallory.ok('send', { c, m: 'm1', text: 'tea' })
    }
    // The views have the events, so that the resumes read them.
    while ((await mallory.ok('inbox')).behind !== false && (await sleep(10)));
    await sleep(200)
    const streams = feed.positions().filter(({ family }) => family === Family.conversation)
    const lastEventId = `2.${streams.map(() => '0').join('.')}`
    for (const c of cursors) {
      await connect('mallory', { resume: { [c]: 0 } })
      const stream = new EventSourceClient(url, await token('mallory'), { lastEventId })
      const call = new GrpcClient(edge.grpcPort!, { token: await token('mallory') })
      t.teardown(async () => {
        call.close()
        await stream.stop()
      })
      await call.ok('hello', { resume: [{ c, seq: 0 }] })
    }
    const bob = await connect('bob', { resume: { tea: 0 } })
    t.match(await bob.find(frame => frame.t === 'synced'), { c: 'tea' })
    const held = gate?.most() ?? 0
    t.ok(held > 0 && held <= 2 * 8, `${held} reads of two rounds`)
    gate?.open()
  },

  'edge.searches user': async t => {
    let gate: ReturnType<typeof gated<Views['search']>> | undefined
    const { connect } = await start(
      t,
      { searches: 4, userSearches: 2 },
      {
        wrapViews: views => {
          gate = gated(views.search, 'search', ({ q }: { q: string }) => q === 'held')
          return { ...views, search: gate.wrapped }
        },
      },
    )
    const mallory = [await connect('mallory'), await connect('mallory')]
    const held = mallory.flatMap(client => times(8, () => client.code('search', { q: 'held' })))
    const bob = await connect('bob')
    t.equal(await bob.code('search', { q: 'tea' }), 'ok')
    t.equal(gate?.most(), 2)
    gate?.open()
    t.same(await codesOf(held), { ok: 16 }, 'the others waited')
  },

  'edge.presence.watched user': async t => {
    const { connect } = await start(t, { presenceWatched: 10, userPresenceWatched: 4 })
    const watch = (client: RawClient, name: string, count: number) =>
      client.code('presence', { users: times(count, n => `${name}${n}`) })
    const mallory = [await connect('mallory'), await connect('mallory'), await connect('mallory')]
    t.equal(await watch(mallory[0]!, 'x', 4), 'ok')
    t.equal(await watch(mallory[0]!, 'w', 4), 'ok', 'a session replaces its users')
    for (const [n, client] of mallory.slice(1).entries())
      t.equal(await watch(client, `y${n}`, 1), 'OVERLOADED')
    t.equal(await watch(mallory[0]!, 'x', 5), 'OVERLOADED')
    t.equal(await watch(await connect('bob'), 'z', 4), 'ok')
    mallory[0]!.close()
    while ((await watch(mallory[1]!, 'y', 4)) !== 'ok') await sleep(10)
    t.pass('an ended session gives its share back')
  },

  'edge.typists user': async t => {
    const { connect, group } = await start(t, { typists: 4, userTypists: 2, typingEveryMs: 0 })
    const bob = await connect('bob')
    const mallory = await group('mallory', 'm0', ['bob'])
    for (let n = 1; n < 6; n++) await mallory.ok('create', { c: `m${n}`, kind: 'group', members: ['bob'] })
    const alice = await group('alice', 'tea', ['bob'])
    for (let n = 0; n < 6; n++) await mallory.ok('typing', { c: `m${n}`, on: true })
    await alice.ok('typing', { c: 'tea', on: true })
    await bob.find(frame => frame.type === 'typing' && frame.user === 'alice')
    t.equal(bob.frames.filter(frame => frame.type === 'typing' && frame.user === 'mallory').length, 2)
  },

  'edge.limits.hellos user': async t => {
    const { socket, token, connect } = await start(t, { hellos: 5, userHellos: 2 })
    const clients = await Promise.all(times(12, () => socket()))
    const asked = clients.map(async client => client.code('hello', { token: await token('mallory') }))
    t.match(await codesOf(asked), { OVERLOADED: 10, ok: 2 })
    t.ok(await connect('bob'))
  },

  'edge.limits.hellos address': async t => {
    const { socket, token, url } = await start(t, { hellos: 2, addressFailures: 5, trustProxy: 1 })
    const from = async (address: string, given: string) => {
      const client = await socket({ headers: { 'x-forwarded-for': address } })
      return await client.code('hello', { token: given })
    }
    const stream = (address: string) =>
      fetch(`${url}/v1/stream`, { headers: { authorization: 'Bearer x', 'x-forwarded-for': address } })
    const codes = await codesOf(times(20, () => from('192.0.2.1', 'x')))
    t.ok(codes.UNAUTHENTICATED! >= 5 && codes.OVERLOADED! > 0, JSON.stringify(codes))
    t.equal((await stream('192.0.2.1')).status, 503)
    t.equal((await stream('192.0.2.2')).status, 401)
    t.equal(await from('192.0.2.2', await token('bob')), 'ok', 'invalid tokens use up no arrival')
    await sleep(1_000)
    t.equal(await from('192.0.2.1', await token('alice')), 'ok')
  },

  'edge.limits.buffered user': async t => {
    const registry = new SessionRegistry()
    const mallory = times(9, () => sessionOf(registry, 'mallory', 100))
    const bob = sessionOf(registry, 'bob', 100)
    const consumers = new SlowConsumers(registry, {
      most: 500,
      userMost: 200,
      slowFrom: 1_000,
      onSlow: () => {},
    })
    consumers.check()
    t.equal(mallory.filter(session => session.closed).length, 7)
    t.notOk(bob.closed)
    t.ok(consumers.load < 0.9)
  },

  'commands.open user': inFlight,
  'commands.remote.open user': inFlight,

  'commands.queued user': async t => {
    const node = await setUp({ limits: { queued: 10, userQueued: 4, batchFrom: 1_000 } })
    await node.as('bob', { t: 'create', c: 'tea', kind: 'group', members: ['mallory'] })
    const send = (user: string, n: number) =>
      node.as(user, { t: 'send', c: 'tea', m: `${user}${n}`, text: 'x' }).then(
        () => 'ok',
        ({ code }) => code as string,
      )
    const flood = times(30, n => send('mallory', n))
    const others = times(4, n => send('bob', n))
    t.same(await codesOf(others), { ok: 4 })
    const { ok, OVERLOADED: refused } = await codesOf(flood)
    t.ok(ok! <= 5 && refused! >= 25, `${ok} accepted, ${refused} refused`)
  },

  'edge.limits.conversationRequests user': async t => {
    await conversationRate(t, { conversationRequests: 20 }, 'x')
    const { connect, group } = await start(t, { conversationRequests: 20 })
    const bob = await group('bob', 'news', ['mallory'])
    await bob.ok('settings', { c: 'news', posting: 'staff' })
    const mallory = await connect('mallory')
    for (let n = 0; n < 100; n++)
      if ((await mallory.code('send', { c: 'news', m: `x${n}`, text: 'x' })) !== 'FORBIDDEN') t.fail()
    t.same(await codesOf(times(10, n => bob.code('send', { c: 'news', m: `b${n}`, text: 'x' }))), { ok: 10 })
  },

  'edge.limits.conversationBytes user': t =>
    conversationRate(t, { conversationBytes: 64 * 1024 }, 'x'.repeat(4_000)),

  'media.verifications user': async t => {
    const folder = await openMediaFolder(join(tempFolder(t), 'media'))
    const gate = Promise.withResolvers<void>()
    let held: string | undefined
    const store: MediaStore = new Proxy(folder, {
      get(object, name) {
        const value = Reflect.get(object, name, object)
        if (name !== 'read') return typeof value === 'function' ? value.bind(object) : value
        return async function* (key: string, first?: number) {
          if (key.includes(held ?? '?')) await gate.promise
          yield* object.read(key, first)
        }
      },
    })
    const confab = await start(
      t,
      {},
      {
        mediaStore: store,
        mediaLimits: { verifications: 2, userVerifications: 1, verifyWaitMs: 5_000 },
      },
    )
    const uploaded = async (user: string, n: number): Promise<string> => {
      const bytes = png(`${user} ${n}`)
      const answer = (await httpOf(confab, user).request(
        'media',
        described(bytes),
      )) as unknown as UploadAnswer
      await putParts(confab, answer, bytes)
      return answer.mediaId
    }
    const mine = await Promise.all(times(10, n => uploaded('mallory', n)))
    held = mine[0]
    const first = httpOf(confab, 'mallory').complete(mine[0]!)
    await sleep(50)
    const others = mine.slice(1).map(id => httpOf(confab, 'mallory').complete(id))
    const bob = await httpOf(confab, 'bob').complete(await uploaded('bob', 0))
    t.match(bob, { status: 200, body: { verified: true } })
    gate.resolve()
    const statuses = (await Promise.all([first, ...others])).map(({ status }) => status)
    t.same(statuses.filter(status => status === 200).length, 9)
    t.same(statuses.filter(status => status === 503).length, 1, 'one running, eight waiting')
  },

  'media.transfers address': async t => {
    const confab = await start(t, { trustProxy: 1 }, { mediaLimits: { transfers: 3, addressTransfers: 2 } })
    const bytes = png('x'.repeat(100_000))
    const part = async (): Promise<string> => {
      const answer = await httpOf(confab, 'mallory').request('media', described(bytes))
      return (answer as unknown as UploadAnswer).parts[0]!.url
    }
    const put = async (address: string): Promise<number> => {
      const answer = await fetch(new URL(await part(), confab.url), {
        method: 'PUT',
        body: new Uint8Array(bytes),
        headers: { 'x-forwarded-for': address },
      })
      return answer.status
    }
    for (let n = 0; n < 2; n++) {
      const socket = connect(confab.edge.port, '127.0.0.1')
      socket.on('error', () => {})
      t.teardown(() => socket.destroy())
      socket.write(
        `PUT ${await part()} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nContent-Length: ${bytes.length}\r\n\r\n`,
      )
      socket.write(bytes.subarray(0, 10))
    }
    await sleep(200)
    t.equal(await put('192.0.2.1'), 503)
    t.equal(await put('192.0.2.2'), 200)
  },

  'cassandra.readsInFlight user': async t => {
    let gate: ReturnType<typeof gated<Views['inbox']>> | undefined
    const { connect, token, url } = await start(
      t,
      { userLargeAnswers: 3 },
      {
        wrapViews: views => {
          gate = gated(views.inbox, 'page', (user: string) => user === 'mallory')
          return { ...views, inbox: gate.wrapped }
        },
      },
    )
    const inbox = async (user: string) =>
      (await fetch(`${url}/v1/inbox`, { headers: { authorization: `Bearer ${await token(user)}` } })).status
    const sockets = [await connect('mallory'), await connect('mallory')]
    const held = [
      ...times(10, () => inbox('mallory')),
      ...sockets.flatMap(client => times(10, () => client.code('inbox'))),
    ]
    await sleep(300)
    t.equal(gate?.most(), 6, 'three over HTTP, three over sockets')
    t.equal(await inbox('bob'), 200)
    gate?.open()
    await Promise.all(held)
  },

  'edge.presence.lastSeenWaiting user': async t => {
    const stored = new Map<string, number>()
    const store = {
      note: async (seen: ReadonlyMap<string, number>) => {
        for (const [user, at] of seen) stored.set(user, at)
      },
      of: async () => new Map<string, number>(),
    }
    const none = () => {}
    const logger = { debug: none, info: none, warn: none, error: none }
    const lastSeen = new LastSeen({ store, logger }, 2)
    lastSeen.record('bob', 1)
    for (let n = 0; n < 100; n++) lastSeen.record('mallory', n)
    await lastSeen.write()
    t.same([...stored.keys()].sort(), ['bob', 'mallory'])
  },
}

t.test('every bound of a node has a share, and one holder that fills it leaves others served', async t => {
  const names = nodeBounds.map(({ bound, holder }) => `${bound.key} ${holder}`)
  t.same(Object.keys(scenarios).sort(), [...names].sort(), 'each bound has a scenario')
  for (const { bound, share } of nodeBounds)
    if (typeof share !== 'string')
      t.ok(share.default > 0 && share.default <= bound.default / 2, `${share.key} is a part of ${bound.key}`)
  for (const [name, run] of Object.entries(scenarios)) t.test(name, run)
})

t.test('connections before hello have a share of each address', async t => {
  const { socket, token } = await start(t, { addressNewcomers: 3, trustProxy: 1 })
  const from = (address: string) => socket({ headers: { 'x-forwarded-for': address } })
  const first = await from('192.0.2.1')
  await from('192.0.2.1')
  await from('192.0.2.1')
  await t.rejects(from('192.0.2.1'))
  await from('192.0.2.2')
  await first.ok('hello', { token: await token('alice') })
  const fourth = await from('192.0.2.1')
  await t.rejects(from('192.0.2.1'))
  fourth.close()
  first.close()
  for (;;) {
    const next = await from('192.0.2.1').catch(() => sleep(20))
    if (next !== undefined) break
  }
  await t.rejects(from('192.0.2.1'), 'a session that had said hello gives no second place back')
})

t.test('an address opens so many connections a second, whatever follows', async t => {
  const { edge, url } = await start(t, { addressConnects: 1 })
  const silent = () =>
    new Promise<'open' | 'closed'>(resolve => {
      const socket = connect(edge.port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      socket.on('error', () => resolve('closed'))
      socket.on('close', () => resolve('closed'))
      setTimeout(() => resolve('open'), 300)
    })
  const outcomes = await Promise.all(times(40, silent))
  const open = outcomes.filter(outcome => outcome === 'open').length
  t.ok(open >= 20 && open <= 22, `${open} are open`)
  await t.rejects(fetch(`${url}/healthz`))
})
