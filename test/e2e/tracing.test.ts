import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { projectionNames } from '../../src/projections/index.ts'
import { type ConfabProcess, spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { startNats } from '../harness/nats.ts'
import { RawClient } from '../harness/raw-client.ts'
import { replayLog } from '../harness/replay.ts'
import { startSpanCollector } from '../harness/span-collector.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const secret = 'a secret of at least thirty-two bytes'
const parent = { traceId: 'a1b2c3d4e5f60718293a4b5c00000001', spanId: '1122334455667788' }
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(20)
}

const post = async (confab: ConfabProcess, user: string, request: object, traceparent?: string) => {
  const answer = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await confab.token(user)}`,
      'content-type': 'application/json',
      ...(traceparent === undefined ? {} : { traceparent }),
    },
    body: JSON.stringify({ id: '1', ...request }),
  })
  return (await answer.json()) as { ok: boolean; error?: { code: string } }
}

t.test(
  'a trace leads from the client over the decision to each delivery and view',
  { timeout: 120_000 },
  async t => {
    const collector = await startSpanCollector(t)
    const nats = await startNats(t)
    const folder = tempFolder(t)
    const env = {
      CONFAB_TRACING_URL: collector.url,
      CONFAB_TRACING_RATIO: '1',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    }
    const start = async (roles: string, name: string) => {
      const args = ['--roles', roles]
      const confab = await spawnConfab({ data: join(folder, name), nats: nats.url, secret, args, env })
      t.teardown(() => confab.stop())
      return await untilReady(confab)
    }
    const views = await start('projections', 'views')
    await start('commands', 'commands')
    const edges = [await start('edge', 'views'), await start('edge', 'views')]
    const [edge, other] = edges as [ConfabProcess, ConfabProcess]

    t.match(
      await post(edge, 'alice-marked', {
        t: 'create',
        c: 'tea-marked',
        kind: 'group',
        members: ['bob-marked'],
      }),
      {
        ok: true,
      },
    )
    for (const server of [edge, other]) {
      const client = await RawClient.open(`${server.url.replace('http', 'ws')}/v1/ws`)
      t.teardown(() => client.close())
      await client.ok('hello', { token: await server.token('bob-marked'), resume: { 'tea-marked': 1 } })
    }
    const traceparent = `00-${parent.traceId}-${parent.spanId}-00`
    const request = { t: 'send', c: 'tea-marked', m: 'm-marked', text: 'marked text' }
    t.match(await post(edge, 'alice-marked', request, traceparent), { ok: true })
    const ours = () => collector.spans.filter(({ traceId }) => traceId === parent.traceId)
    await until(() => ours().length >= 2 + 2 + projectionNames.length)
    const named = (name: string) => ours().filter(span => span.name === name)
    const [command] = named('command send')
    const [decide] = named('decide send')
    t.match(command, { parentSpanId: parent.spanId, roles: 'edge', attributes: { 'confab.seq': 2 } })
    t.match(decide, { parentSpanId: command?.spanId, roles: 'commands' })
    const deliveries = named('deliver message.posted')
    t.equal(deliveries.length, 2, 'one on each edge node with clients')
    const projected = ours().filter(({ name }) => name.startsWith('project '))
    t.same(projected.map(({ name }) => name).sort(), projectionNames.map(name => `project ${name}`).sort())
    for (const span of [...deliveries, ...projected]) {
      t.match(span, { parentSpanId: decide?.spanId, attributes: { 'confab.stream': 'CONV_0' } }, span.name)
      t.ok(span.end >= span.start, span.name)
    }
    t.ok(ours().every(({ start, end }) => end >= start))

    t.match(await post(edge, 'mallory-marked', request), { ok: false })
    await until(() => collector.spans.some(({ attributes }) => attributes['confab.code'] === 'NOT_FOUND'))
    t.notMatch(collector.text(), /marked/, 'no ids and no content')
    const log = await replayLog(['--nats', nats.url])
    t.equal(log.get('tea-marked')?.length, 2)
    t.equal(await views.stop(), 0)
  },
)

t.test('the ratio decides, whatever a client asks for', { timeout: 60_000 }, async t => {
  const collector = await startSpanCollector(t)
  const env = {
    CONFAB_TRACING_URL: collector.url,
    CONFAB_TRACING_RATIO: '0.5',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  }
  const confab = await untilReady(await spawnConfab({ data: join(tempFolder(t), 'data'), env }))
  t.teardown(() => confab.stop())
  await post(confab, 'alice', { t: 'create', c: 'tea', kind: 'group', members: ['bob'] })
  // The last eight digits of the trace id, as a share of all.
  const traces = { low: `${'b'.repeat(24)}70000000`, high: `${'b'.repeat(24)}90000000` }
  for (const [m, id] of Object.entries(traces))
    t.match(
      await post(confab, 'alice', { t: 'send', c: 'tea', m, text: 'x' }, `00-${id}-${parent.spanId}-01`),
      {
        ok: true,
      },
    )
  await until(() =>
    collector.spans.some(({ traceId, name }) => traceId === traces.low && name === 'project inbox'),
  )
  t.equal(await confab.stop(), 0)
  t.notOk(collector.spans.some(({ traceId }) => traceId === traces.high))
})

t.test('a collector that does not answer delays nothing', { timeout: 60_000 }, async t => {
  const env = {
    CONFAB_TRACING_URL: `http://127.0.0.1:${await freePort()}/v1/traces`,
    CONFAB_TRACING_RATIO: '1',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  }
  const confab = await untilReady(await spawnConfab({ data: join(tempFolder(t), 'data'), env }))
  t.teardown(() => confab.stop())
  t.match(await post(confab, 'alice', { t: 'create', c: 'tea', kind: 'group', members: [] }), { ok: true })
  await until(() => /spans cannot be sent/.test(confab.output()))
  t.match(await post(confab, 'alice', { t: 'send', c: 'tea', m: 'm', text: 'x' }), { ok: true })
  t.equal(await confab.stop(), 0)
})
