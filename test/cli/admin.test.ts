import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readServeRecord, readServeRecords } from '../../src/cli/command/server-address.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const strong = 'Zq8vN1xT4kR7mB2wY9cL5pD3hS6gJ0fA'

const statusWithHost = (url: string, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port, pathname } = new URL(url)
    const sent = request({ hostname, port, path: pathname, headers: { host }, agent: false }, answer => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    sent.on('error', reject)
    sent.end()
  })

t.test(
  'metrics, details and admin requests are on the admin listener, and not on the public port',
  async t => {
    const data = join(tempFolder(t), 'data')
    const env = {
      CONFAB_JWT_SECRET: strong,
      CONFAB_EDGE_IN_FLIGHT: '77',
      CONFAB_EDGE_LIMITS_ADDRESS_FAILURES: '1',
    }
    const confab = await untilReady(await spawnConfab({ data, env, dev: false }))
    t.teardown(() => confab.stop())
    const tokenOf = async (...args: string[]): Promise<string> =>
      (await runConfab(['token', '--user', 'olga', '--data', data, ...args], env)).stdout.trim()
    const [admin, user] = [await tokenOf('--role', 'admin'), await tokenOf()]

    t.same(await (await fetch(`${confab.url}/readyz`)).json(), { ok: true })
    for (const path of ['/metrics', '/v1/admin/configuration'])
      t.equal((await fetch(`${confab.url}${path}`)).status, 404, path)

    t.same(await (await fetch(`${confab.adminUrl}/healthz`)).json(), { ok: true })
    t.match(await (await fetch(`${confab.adminUrl}/readyz`)).json(), {
      ok: true,
      parts: { nats: true, feed: true, log: true, 'view search': /live|catching-up/ },
    })
    t.match(await (await fetch(`${confab.adminUrl}/metrics`)).text(), /^confab_edge_connections 0$/m)
    t.equal(readServeRecord(data)?.adminUrl, confab.adminUrl)

    const ask = async (token?: string, path = '/v1/admin/configuration', method = 'GET') => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const answer = await fetch(`${confab.adminUrl}${path}`, { method, headers })
      return { status: answer.status, allow: answer.headers.get('allow'), body: await answer.json() }
    }
    t.match(await ask(), { status: 401, body: { error: { code: 'UNAUTHENTICATED' } } })
    t.match(await ask('junk'), { status: 401 })
    t.match(await ask(`${admin.slice(0, -4)}AAAA`), { status: 401 }, 'a forged token')
    t.match(await ask(user), { status: 403, body: { error: { code: 'FORBIDDEN' } } })
    t.match(await ask(admin), {
      status: 200,
      body: { 'jwt.secret': '[redacted]', 'edge.inFlight': '77', data },
    })
    t.match(await ask(admin, '/nowhere'), { status: 404, body: { error: { code: 'NOT_FOUND' } } })
    t.match(await ask(admin, '//'), { status: 404 })
    t.match(await ask(admin, '/metrics', 'POST'), { status: 405, allow: 'GET, HEAD' })

    // Every admin request of a real process is recorded.
    const { error } = (await ask(admin, '/nowhere')).body as { error: { message: string } }
    const paths = [...error.message.matchAll(/\/v1\/admin\/[\w/-]+/g)].map(([path]) => path)
    t.ok(paths.length > 0, paths.join())
    for (const path of paths) {
      const seqOf = async (): Promise<number> => {
        const { stdout } = await runConfab(
          ['audit', 'ls', '--actor', 'token:olga', '--json', '--data', data],
          env,
        )
        return (JSON.parse(stdout) as { seq: number }[]).at(-1)?.seq ?? 0
      }
      const before = await seqOf()
      t.equal((await ask(admin, path)).status, 200, path)
      t.ok((await seqOf()) > before, `${path} is recorded`)
    }

    const { port } = new URL(confab.adminUrl)
    t.equal(await statusWithHost(`${confab.adminUrl}/metrics`, `evil.example:${port}`), 403, 'DNS rebinding')
    t.equal(await statusWithHost(`${confab.adminUrl}/metrics`, `localhost:${port}`), 200)

    const inUse = await runConfab(
      ['serve', '--port', '0', '--admin-port', port, '--data', join(data, '../b')],
      env,
    )
    const ended = await runConfab(['sessions', 'end', '--user', 'olga', '--yes', '--data', data], env)
    t.equal(ended.code, 0, ended.stderr)
    while ((await ask(admin)).status === 200) await sleep(20)
    t.match(await ask(admin), { status: 401, body: { error: { code: 'UNAUTHENTICATED' } } }, 'revoked')

    const statuses = await Promise.all(Array.from({ length: 60 }, async () => (await ask('junk')).status))
    t.ok(statuses.includes(503), 'an address with many invalid tokens is refused')
    t.equal((await fetch(`${confab.adminUrl}/metrics`)).status, 200)

    t.equal(inUse.code, 1)
    t.match(inUse.stderr, /CANNOT_LISTEN: cannot listen on 127\.0\.0\.1:\d+: .* with --admin-port/)
    t.equal(await confab.stop(), 0)
  },
)

t.test('the admin listener can be off', async t => {
  const folder = tempFolder(t)
  const off = await untilReady(
    await spawnConfab({ data: join(folder, 'off'), args: ['--admin-port', 'off', '--roles', 'projections'] }),
  )
  t.teardown(() => off.stop())
  await t.rejects(fetch(`${off.adminUrl}/metrics`))
  t.same(await (await fetch(`${off.url}/readyz`)).json(), { ok: true })
  t.equal((await fetch(`${off.url}/metrics`)).status, 404)
  while (readServeRecords(join(folder, 'off')).length === 0) await sleep(20)
  const { code, stdout } = await runConfab(['doctor', '--data', join(folder, 'off')])
  t.equal(code, 0, stdout)
  t.match(stdout, /ready, roles projections/)
})

t.test(
  'a development server warns when other machines can reach it, and refuses the secret of production',
  async t => {
    const folder = tempFolder(t)
    const args = ['--host', '0.0.0.0']
    const confab = await untilReady(await spawnConfab({ data: join(folder, 'data'), args }))
    t.teardown(() => confab.stop())
    while (!confab.output().includes('development mode on a network')) await sleep(20)
    t.match(confab.output(), /every client that reaches this address can sign in as any user/)
    t.equal((await fetch(`${confab.url}/v1/dev/token?user=alice`)).status, 200, 'an address is accepted')
    t.equal(await statusWithHost(`${confab.url}/v1/dev/token`, 'evil.example'), 403)
    t.equal(await confab.stop(), 0)

    const mixed = await runConfab(['serve', '--dev', '--port', '0', '--data', join(folder, 'other')], {
      CONFAB_JWT_SECRET: strong,
    })
    t.equal(mixed.code, 2)
    t.match(mixed.stderr, /BAD_OPTION: .*dev: excludes jwt\.secret, jwt\.previousSecret and jwt\.jwks/)
    t.notMatch(mixed.stderr, strong)

    const silent = await untilReady(
      await spawnConfab({ data: join(folder, 'third'), port: await freePort() }),
    )
    t.teardown(() => silent.stop())
    t.notMatch(silent.output(), /development mode on a network/)
  },
)
