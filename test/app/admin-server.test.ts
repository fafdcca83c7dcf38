import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import t from 'tap'
import { openAdminServer } from '../../src/app/admin-server.ts'
import { createContext, createLifecycle } from '../../src/app/lifecycle.ts'
import { auditStreamOf, openAuditTrail } from '../../src/app/open-audit.ts'
import { type AuditRecord, parseRecord } from '../../src/audit/index.ts'
import { ConfabError } from '../../src/events/index.ts'
import { compileConfig } from '../../src/infra/config/index.ts'
import { createLogger } from '../../src/infra/telemetry/index.ts'
import { createTokenVerifier, signDevToken } from '../../src/infra/tokens/index.ts'
import { startNats } from '../harness/nats.ts'

const secret = 'Zq8vN1xT4kR7mB2wY9cL5pD3hS6gJ0fA'

t.test('every admin request passes the audit: by its action, with its actor and outcome', async t => {
  const nats = await startNats(t)
  const connection = await nats.connect()
  const config = compileConfig({ flags: { adminPort: '0' } })
  const logger = createLogger({ level: 'silent' })
  const life = createLifecycle(logger, 5_000)
  t.teardown(() => life.stop())
  const unrecorded: string[] = []
  const audit = openAuditTrail(connection, config, {
    onUnrecorded: (_, action) => unrecorded.push(action),
    minuteMs: 3_600_000,
  })
  const system = { nats: connection, servers: [nats.url], isEmbedded: false, close: async () => {} }
  const context = createContext(
    { config, region: undefined, logger, system, tracing: undefined, audit, onNotice() {}, onFailure() {} },
    life,
  )
  const calls: string[] = []
  const done = (name: string) => () => {
    calls.push(name)
    return { ok: true }
  }
  const { admin } = context
  admin.add('GET', '/v1/admin/quiet', 'unrecorded', done('quiet'))
  admin.add('GET', '/v1/admin/read', { action: 'configuration.read' }, done('read'))
  admin.add(
    'POST',
    '/v1/admin/pause',
    {
      action: 'projections.pause',
      target: ({ query }) => `projection:${query.get('projection')}`,
      params: ({ body }) => ({ why: body.why }),
    },
    done('pause'),
  )
  admin.add('POST', '/v1/admin/drop', { action: 'projections.drop' }, done('drop'))
  admin.add('POST', '/v1/admin/fail', { action: 'projections.resume' }, ({ body }) => {
    throw body.known === true ? new ConfabError('CONFLICT') : new Error('a defect')
  })
  const tokens = await createTokenVerifier({ secret })
  const url = await openAdminServer(context, { readiness: async () => ({}), tokens })
  const tokenOf = (user: string, role?: string) => signDevToken(secret, user, { role })
  const ask = async (path: string, token?: string, body?: object): Promise<number> => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const answer = await fetch(`${url}/v1/admin/${path}`, {
      headers,
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    await answer.arrayBuffer()
    return answer.status
  }
  const recorded = async (): Promise<AuditRecord[]> => {
    const stream = auditStreamOf(connection, config)
    const all: AuditRecord[] = []
    for await (const page of stream.read(1, await stream.last()))
      all.push(...page.map(({ data }) => parseRecord(data)!))
    return all
  }

  const olga = await tokenOf('olga', 'admin')
  t.equal(await ask('quiet', olga), 200)
  t.equal(await ask('read', olga), 200)
  t.equal(await ask('pause?projection=search', olga, { why: 'slow', password: 'not named' }), 200)
  t.equal(await ask('drop', olga, {}), 200)
  t.equal(await ask('fail', olga, { known: true }), 409)
  t.equal(await ask('fail', olga, {}), 500)
  const by = { actor: 'token:olga', role: 'admin' }
  t.match(await recorded(), [
    { ...by, action: 'configuration.read', outcome: 'done' },
    { ...by, action: 'projections.pause', outcome: 'started', target: 'projection:search' },
    { ...by, action: 'projections.pause', outcome: 'done', params: { why: 'slow' } },
    { ...by, action: 'projections.drop', outcome: 'started' },
    { ...by, action: 'projections.drop', outcome: 'done' },
    { outcome: 'started' },
    { ...by, action: 'projections.resume', outcome: 'refused', code: 'CONFLICT' },
    { outcome: 'started' },
    { ...by, action: 'projections.resume', outcome: 'failed', code: 'INTERNAL' },
  ])
  t.notMatch(JSON.stringify(await recorded()), 'not named')
  t.same(calls, ['quiet', 'read', 'pause', 'drop'])

  // Strangers and users without the role reach no handler, and are recorded a limited number of times.
  const before = (await recorded()).length
  t.equal(await ask('drop', undefined, {}), 401)
  t.equal(await ask('drop', await tokenOf('bob'), {}), 403)
  for (let n = 0; n < 30; n++) t.equal(await ask('read', 'junk'), 401)
  while ((await recorded()).length < before + 10) await sleep(10)
  const refused = (await recorded()).slice(before)
  t.equal(refused.length, 10)
  t.match(refused.slice(0, 3), [
    { actor: 'unknown', action: 'admin.refuse', outcome: 'refused', code: 'UNAUTHENTICATED' },
    { actor: 'token:bob', code: 'FORBIDDEN', params: { path: '/v1/admin/drop', method: 'POST' } },
    { actor: 'unknown', code: 'UNAUTHENTICATED', params: { address: '127.0.0.1' } },
  ])
  t.equal(audit.counts.refused, 32)
  t.notMatch(JSON.stringify(refused), 'junk')
  t.equal(calls.length, 4)

  // Without the stream, a destructive request is refused, and the others are answered.
  const manager = await jetstreamManager(connection.connection)
  await manager.streams.delete('AUDIT')
  t.equal(await ask('drop', olga, {}), 503)
  t.equal(await ask('pause?projection=search', olga, {}), 200)
  t.same(calls.slice(4), ['pause'])
  t.ok(unrecorded.includes('projections.pause') && !unrecorded.includes('projections.drop'))
})
