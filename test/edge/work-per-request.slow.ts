import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openApiDocument } from '../../src/edge/transports/http/openapi.ts'
import { Limits, Requests } from '../../src/events/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import {
  type Fields,
  largestHeaders,
  largestQueries,
  largestRequests,
  refusedFields,
  type Stage,
} from '../harness/largest-requests.ts'
import { RawClient, type RawClientOptions } from '../harness/raw-client.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/**
 * The longest turn of the event loop that one request may cause, in units of the reference work of the probe, measured
 * in the same process. All other clients wait for a turn. The unit is 2 to 4 ms of CPU time on a small server, so this
 * is about 50 ms.
 */
const mostUnits = 15
/**
 * A turn may be long once, for compiling or collecting garbage. A request that causes long turns causes them each
 * time.
 */
const attempts = 4

const probePort = await freePort()
const confab = await untilReady(
  await spawnConfab({
    data: tempFolder(t),
    env: {
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${import.meta.resolve('../harness/turn-probe.ts')}`,
      TURN_PROBE_PORT: String(probePort),
      ...Object.fromEntries(
        ['SOCKET', 'USER', 'CONVERSATION'].flatMap(of => [
          [`CONFAB_EDGE_LIMITS_${of}_REQUESTS`, 'off'],
          [`CONFAB_EDGE_LIMITS_${of}_BYTES`, 'off'],
        ]),
      ),
    },
  }),
)
t.teardown(() => confab.stop())

const probed = async (path: string): Promise<Record<string, number>> =>
  (await (await fetch(`http://127.0.0.1:${probePort}${path}`)).json()) as Record<string, number>
let { reference = 0 } = await probed('/reference')

/** Returns the longest turn of a job and of what it started, in units, and waits until the process is idle again. */
const unitsOf = async (job: () => Promise<unknown>): Promise<number> => {
  await probed('/turns')
  await job()
  let longest = 0
  for (let quiet = 0; quiet < 2; ) {
    const turns = await probed('/turns')
    longest = Math.max(longest, turns.longest ?? 0)
    quiet = (turns.used ?? 0) < reference ? quiet + 1 : 0
    await sleep(5)
  }
  return longest / reference
}

const worst: { name: string; units: number }[] = []

const isShort = async (
  t: Test,
  name: string,
  job: () => Promise<unknown>,
  most = mostUnits,
): Promise<void> => {
  let least = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < attempts && least > most; attempt++) {
    // Other processes on the same core may have made the machine slower.
    if (attempt > 0) reference = Math.max(reference, (await probed('/reference')).reference ?? 0)
    least = Math.min(least, await unitsOf(job))
  }
  worst.push({ name, units: least })
  t.ok(least <= most, `${name}: its longest turn is ${least.toFixed(1)} units`)
}

const url = `${confab.url.replace('http', 'ws')}/v1/ws`
const token = await confab.token('mallory')
const connect = async (options: RawClientOptions = {}): Promise<RawClient> => {
  const client = await RawClient.open(url, { patienceMs: 60_000, ...options })
  t.teardown(() => client.close())
  await client.ok('hello', { token })
  return client
}

let ids = 0
const stage: Stage = {
  c: 'large',
  m: 'm0',
  banned: 'banned',
  many: Array.from({ length: Limits.cursors }, (_, i) => `c${i}`),
  id: () => `id-${ids++}`,
}
const mallory = await connect()
await mallory.ok('create', {
  c: stage.c,
  kind: 'group',
  members: Array.from({ length: 1_000 }, (_, i) => `u${i}`),
})
for (let i = 0; i < stage.many.length; i += 100)
  await Promise.all(
    stage.many.slice(i, i + 100).map(c => mallory.ok('create', { c, kind: 'group', members: ['u1', 'u2'] })),
  )
for (let i = 0; i < 100; i++) {
  const text = [`${'a '.repeat(8_000)}`, `${'a '.repeat(8_000)}b`, 'ab '.repeat(5_000), '東'.repeat(5_000)][
    i % 4
  ]
  await mallory.ok('send', { c: stage.c, m: `m${i}`, text })
}

await mallory.ok('create', { c: stage.banned, kind: 'group', members: [] })
for (let i = 0; i < 1_000; i++) await mallory.ok('ban', { c: stage.banned, user: `banned-${i}` })
for (let i = 0; i < Limits.profiles; i++) {
  const answer = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    body: JSON.stringify({ id: 'x', t: 'profile', data: { a: 'x'.repeat(Limits.dataBytes - 8) } }),
    headers: { authorization: `Bearer ${await confab.token(`u${i}`)}` },
  })
  if (answer.status !== 200) throw new Error(`profile: ${await answer.text()}`)
}

const types = Object.keys({ ...Requests, hello: true }) as (keyof typeof largestRequests)[]

for (const subprotocol of ['confab.v1.json', 'confab.v1.msgpack'] as const)
  t.test(`no request keeps other clients waiting: WebSocket, ${subprotocol}`, async t => {
    const client = await connect({ subprotocol })
    for (const type of types) {
      t.ok(largestRequests[type] !== undefined, `${type} is in the table`)
      const refused = refusedFields()
      for (const index of [...largestRequests[type](stage), ...refused].keys()) {
        const fields = (): Fields => [...largestRequests[type](stage), ...refused][index]!
        await isShort(t, `${subprotocol} ${type} ${index}`, async () => {
          if (type !== 'hello') return await client.request(type, fields())
          const fresh = await RawClient.open(url, { subprotocol, patienceMs: 60_000 })
          await fresh.request('hello', { token, ...fields() }).catch(() => {})
          fresh.close()
        })
      }
    }
  })

t.test('no request keeps other clients waiting: POST /v1/commands', async t => {
  for (const type of types)
    for (const fields of [...largestRequests[type](stage), ...refusedFields()])
      await isShort(t, `POST ${type}`, async () => {
        const body = JSON.stringify({ id: 'x', t: type, ...fields })
        const answer = await fetch(`${confab.url}/v1/commands`, {
          method: 'POST',
          body,
          headers: { authorization: `Bearer ${token}` },
        })
        await answer.text()
      })
})

t.test('no request keeps other clients waiting: routes', async t => {
  const { paths } = JSON.parse(openApiDocument()) as { paths: Record<string, unknown> }
  const routes = [
    ...Object.keys(paths),
    '/',
    '/call/',
    '/assets/x',
    '/metrics',
    '/v1/ws',
    '/v1/media/transfer',
    '/x',
  ]
  for (const route of routes) {
    const path = route.replaceAll(/\{[^}]*\}/g, stage.c)
    const get = async (query: string, headers: Record<string, string>): Promise<void> => {
      const ending = AbortSignal.timeout(route === '/v1/stream' ? 300 : 60_000)
      const answer = await fetch(`${confab.url}${path}${query}`, {
        headers: { authorization: `Bearer ${token}`, ...headers },
        signal: ending,
        redirect: 'manual',
      }).catch(() => undefined)
      await answer?.text().catch(() => {})
    }
    await isShort(t, `GET ${route}`, () => get('', {}))
    await isShort(t, `GET ${route} with long queries`, async () => {
      for (const query of largestQueries) await get(`?${query}`, {})
    })
    if (route === '/v1/stream') continue
    await isShort(t, `GET ${route} with long headers`, async () => {
      for (const headers of largestHeaders) await get('', headers)
    })
  }
})

t.test('many at once', async t => {
  const get = async (path: string): Promise<number> => {
    const answer = await fetch(confab.url + path, { headers: { authorization: `Bearer ${token}` } })
    await answer.text()
    return answer.status
  }
  const many = (path: string) => async () => {
    const statuses = await Promise.all(Array.from({ length: 300 }, () => get(path)))
    t.ok(statuses.every(status => status === 200 || status === 503))
  }
  const seen = stage.many.slice(0, Limits.seen).map(c => `x${c}:9`)
  await isShort(
    t,
    '300 inbox with seen that never comes',
    many(`/v1/inbox?limit=1&seen=${seen.join(',')}`),
    2 * mostUnits,
  )
  await isShort(t, '300 searches', many(`/v1/search?limit=100&q=${'a+'.repeat(127)}`), 2 * mostUnits)
})

t.test('the longest turns', async t => {
  const top = worst.sort((a, b) => b.units - a.units).slice(0, 10)
  t.comment(`unit: ${reference.toFixed(1)} ms`)
  for (const { name, units } of top) t.comment(`${units.toFixed(1)} units: ${name}`)
  t.ok(worst.length > 500)
})
