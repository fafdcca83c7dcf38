import { join } from 'node:path'
import t from 'tap'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { RawClient } from '../harness/raw-client.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

interface Row {
  readonly user: string
  readonly session: string
  readonly device?: string
  readonly transport: string
  readonly node: string
}
interface Listed {
  readonly sessions: readonly Row[]
  readonly nodes: number
  readonly matching: number
  readonly next?: string
}

t.test('sessions ls and end, beside running nodes and without one', async t => {
  const data = join(tempFolder(t), 'data')
  const confab = await untilReady(await spawnConfab({ data }))
  t.teardown(() => confab.stop())
  const second = await untilReady(await spawnConfab({ data, args: ['--roles', 'edge'] }))
  t.teardown(() => second.stop())
  const run = (...args: string[]) => runConfab(['sessions', ...args, '--data', data])
  const listed = async (...args: string[]) =>
    JSON.parse((await run('ls', '--json', ...args)).stdout) as Listed
  const connect = async ({ url }: typeof confab, user: string, device: string) => {
    const token = await confab.token(user)
    const client = await RawClient.open(`${url.replace('http', 'ws')}/v1/ws`)
    t.teardown(() => client.close())
    await client.ok('hello', { token, device })
    return { client, token, status: () => statusOf(url, token) }
  }
  const statusOf = async (url: string, token: string) =>
    (await fetch(`${url}/v1/inbox`, { headers: { authorization: `Bearer ${token}` } })).status
  const phone = await connect(confab, 'alice', 'phone')
  const laptop = await connect(second, 'alice', 'laptop')
  const bob = await connect(second, 'bob', 'desk')

  await t.test('ls', async t => {
    const all = await listed()
    t.match(all, { nodes: 2, matching: 3 })
    t.same(all.sessions.map(({ user, device }) => `${user} ${device}`).sort(), [
      'alice laptop',
      'alice phone',
      'bob desk',
    ])
    t.equal(new Set(all.sessions.map(({ node }) => node)).size, 2)
    t.notOk(JSON.stringify(all).includes('"token"'))
    const ofAlice = await listed('--user', 'alice')
    t.same(
      ofAlice.sessions.map(({ user }) => user),
      ['alice', 'alice'],
    )
    const first = await listed('--limit', '2')
    const rest = await listed('--limit', '2', '--after', first.next ?? '')
    t.same(
      [...first.sessions, ...rest.sessions].map(({ session }) => session),
      all.sessions.map(({ session }) => session),
      'pages',
    )
    const { stdout, stderr } = await run('ls', '--limit', '2')
    const [head = '', row = ''] = stdout.split('\n')
    t.match(head, /^user +session +device +transport +address +since +last active +node$/)
    t.match(
      row,
      /^alice +[0-9a-f-]{36} +(phone|laptop) +websocket +127\.0\.0\.1 +\d{4}-\S+Z +[\d.]+ s +\S+\/\d+$/,
    )
    t.equal(row.indexOf('websocket'), head.indexOf('transport'), 'aligned')
    t.match(stderr, /^3 sessions on 2 nodes\nfurther sessions: --after alice,[0-9a-f-]{36}$/m)
    t.match((await run('ls', '--user', 'nobody-here')).stderr, /^0 sessions on 2 nodes$/m)
    const mail = await connect(second, '--erin-40example-2ecom', 'mail')
    for (const user of ['erin@example.com', '--erin-40example-2ecom'])
      t.match(await listed('--user', user), { matching: 1, sessions: [{ user: '--erin-40example-2ecom' }] })
    mail.client.close()
    while ((await listed()).matching !== 3);
  })

  await t.test('options that are wrong', async t => {
    const cases: [args: string[], error: RegExp][] = [
      [['end', '--yes'], /name the sessions to end with --user, --session or --issued-before/],
      [['end', '--user', '', '--yes'], /--user: "" names no user/],
      [['end', '--session', '*', '--yes'], /--session: "\*" is not a valid session id/],
      [['end', '--issued-before', 'once', '--yes'], /Give a time such as/],
      [['end', '--issued-before', '2100-01-01', '--yes'], /--issued-before: must not be in the future/],
      [['end', '--session', 'x', '--issued-before', '2020-01-01'], /not together with --session/],
      [['end', '--user', 'alice'], /there is no terminal: confirm with --yes/],
      [['ls', '--limit', '0'], /from 1 to 1000/],
      [['ls', '--limit', '1001'], /from 1 to 1000/],
    ]
    for (const [args, error] of cases) {
      const { code, stderr } = await run(...args)
      t.equal(code, 2, args.join(' '))
      t.match(stderr, /^error BAD_OPTION: /m)
      t.match(stderr, error)
    }
    const none = await run('end', '--session', 'none', '--yes')
    t.equal(none.code, 1)
    t.match(none.stderr, /^error NO_SUCH_SESSION: no node has the session none/m)
    t.equal((await listed()).matching, 3, 'nothing was ended')
  })

  await t.test('end: one session', async t => {
    const { sessions } = await listed('--user', 'alice')
    const id = sessions.find(({ device }) => device === 'laptop')?.session ?? ''
    const { code, stderr } = await run('end', '--session', id, '--yes')
    t.equal(code, 0, stderr)
    t.match(stderr, `revoked: session ${id} of alice on device laptop, connected since `)
    t.match(stderr, /^1 session closed; all nodes refuse the tokens from now on$/m)
    t.same(await laptop.client.closed, { code: 4004, reason: 'revoked' })
    t.same([await laptop.status(), await phone.status()], [401, 200])
  })

  await t.test('end: a user', async t => {
    const { stderr } = await run('end', '--user', 'alice', '--yes')
    t.match(
      stderr,
      /^revoked: sessions of alice with tokens that were issued before \S+ \(1 session open\)$/m,
    )
    t.match(stderr, /^1 session closed; /m)
    t.match(await phone.client.closed, { code: 4004 })
    t.same([await phone.status(), await bob.status()], [401, 200])
  })

  await t.test('end: tail says why it ends', async t => {
    const tail = runConfab(['tail', '--user', 'carl', '--data', data])
    while ((await listed('--user', 'carl')).matching !== 1);
    t.match((await run('end', '--user', 'carl', '--yes')).stderr, /^1 session closed; /m)
    const { code, stderr } = await tail
    t.equal(code, 1)
    t.match(stderr, /^error UNAUTHENTICATED: This session was ended on another device or by the operator/m)
  })

  await t.test('end: by issue time', async t => {
    t.match((await run('end', '--issued-before', '2020-01-01', '--yes')).stderr, /^0 sessions closed/m)
    t.equal(await bob.client.code('ping'), 'ok')
  })

  await t.test('without a node', async t => {
    const { token } = bob
    t.equal(await second.stop(), 0)
    t.equal(await confab.stop(), 0)
    t.match((await run('ls')).stderr, /^0 sessions on 0 nodes$/m)
    t.equal((await run('end', '--user', 'bob', '--yes')).code, 0)
    const again = await untilReady(await spawnConfab({ data }))
    t.teardown(() => again.stop())
    t.equal(await statusOf(again.url, token), 401, 'a node that starts later')
    t.equal(await statusOf(again.url, phone.token), 401, 'from before the restart')
  })
})

t.test('token: claims and lifetime as the configuration requires them', async t => {
  const data = join(tempFolder(t), 'data')
  const env = {
    CONFAB_JWT_AUDIENCE: 'chat',
    CONFAB_JWT_ISSUER: 'tests',
    CONFAB_JWT_USER_CLAIM: 'uid',
    CONFAB_JWT_MAX_LIFETIME: '1h',
  }
  const confab = await untilReady(await spawnConfab({ data, env }))
  t.teardown(() => confab.stop())
  const { stdout } = await runConfab(['token', '--user', 'dora', '--data', data], env)
  const status = async (token: string) =>
    (await fetch(`${confab.url}/v1/inbox`, { headers: { authorization: `Bearer ${token}` } })).status
  t.equal(await status(stdout.trim()), 200)
  t.equal(await status(await confab.token('dora')), 200, 'the development token of the server')
  const plain = (await runConfab(['token', '--user', 'dora', '--data', data])).stdout.trim()
  t.equal(await status(plain), 401, 'without these claims')
  const long = await runConfab(['token', '--user', 'dora', '--data', data, '--expires', '3601'], env)
  t.match(long.stderr, /error BAD_OPTION: --expires: 3601 is more than 3600 s/)
})
