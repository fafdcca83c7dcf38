import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import t from 'tap'
import { compileConfig, openListeners } from '../../src/infra/config/index.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { freePort } from '../harness/free-ports.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const folder = join(tempFolder(t), 'certs')
const path = (name: string): string => join(folder, `${name}.pem`)

t.test('certs makes an authority and certificates, and replaces nothing by itself', async t => {
  const create = (...args: string[]) => runConfab(['certs', folder, ...args])
  const made = await create('--name', 'localhost', '127.0.0.1')
  t.equal(made.code, 0, made.stderr)
  t.match(
    made.stdout,
    /server\.pem +localhost +server +localhost, 127\.0\.0\.1 +confab CA +\d{4}-\d\d-\d\d +36[45]/,
  )
  t.match(made.stdout, /operator\.pem +operator +client +–/)
  t.match(made.stdout, /nats\.pem +nats +server, client +localhost, 127\.0\.0\.1/)
  for (const name of [
    'ca',
    'server',
    'nats',
    'several-roles',
    'edge',
    'commands',
    'projections',
    'operator',
    'analyst',
  ]) {
    t.equal(statSync(path(`${name}-key`)).mode & 0o777, 0o600, `${name}-key.pem`)
    t.match(readFileSync(path(name), 'utf8'), /^-----BEGIN CERTIFICATE-----/)
    t.notOk(existsSync(`${path(name)}.new`))
  }
  t.equal(statSync(folder).mode & 0o777, 0o700)
  const before = readFileSync(path('server'), 'utf8')
  const authority = readFileSync(path('ca'), 'utf8')

  const again = await create('--role', 'edge')
  t.match(again, { code: 1, stderr: /FILE_EXISTS: .+edge\.pem exists/ })
  t.equal(readFileSync(path('server'), 'utf8'), before)
  const renewed = await create(
    '--role',
    'server',
    '--role',
    'edge',
    '--name',
    'localhost',
    '--name',
    '127.0.0.1',
    '--force',
    '--days',
    '20',
    '--json',
  )
  t.equal(renewed.code, 0, renewed.stderr)
  t.match(JSON.parse(renewed.stdout), {
    folder,
    ca: path('ca'),
    certificates: [
      {
        role: 'server',
        subject: 'localhost',
        names: ['localhost', '127.0.0.1'],
        cert: path('server'),
        key: path('server-key'),
        expires: /^\d{4}-\d\d-\d\dT/,
      },
      { role: 'edge', subject: 'edge', names: [], cert: path('edge'), key: path('edge-key') },
    ],
  })
  t.not(readFileSync(path('server'), 'utf8'), before)
  t.equal(readFileSync(path('ca'), 'utf8'), authority, 'the authority stays')

  t.equal((await runConfab(['certs', 'show', path('server')])).code, 0)
  const due = await runConfab(['certs', 'show', '--within', '30', '--json', path('ca'), path('server')])
  t.match(due, { code: 1, stderr: /NOT_READY: localhost in .+server\.pem/ })
  t.match(JSON.parse(due.stdout), [
    { name: 'confab CA', isAuthority: true },
    { uses: ['server'], hosts: ['localhost', '127.0.0.1'], daysLeft: 19 },
  ])
  for (const [args, message] of [
    [['--name', 'a b'], /"a b" is not a host name/],
    [['--role', '../x'], /is not one of server, nats, edge/],
    [['--role', 'ca'], /is not one of server, nats, edge/],
    [['--days', '0.5'], /Give a number of days from 1 to 3650/],
    [['--days', '0'], /Give a number of days from 1/],
    [['--days', '3650', '--force'], /--days: the authority in .+ is valid for/],
  ] as const)
    t.match(await create(...args), { code: 2, stderr: message }, args.join(' '))
  t.match(await runConfab(['certs']), { code: 2, stderr: /BAD_OPTION: name the folder/ })
  const other = join(tempFolder(t), 'other')
  mkdirSync(other)
  for (const [cert, key, message] of [
    [path('server'), path('server-key'), /is no authority.+name another folder/],
    [path('ca'), path('server-key'), /TLS_KEY: .+ not the key of/],
    [
      path('ca'),
      undefined,
      /BAD_OPTION: .+ca-key\.pem does not exist.+copy ca-key\.pem back, or name another folder/,
    ],
  ] as const) {
    rmSync(join(other, 'ca-key.pem'), { force: true })
    copyFileSync(cert, join(other, 'ca.pem'))
    if (key !== undefined) copyFileSync(key, join(other, 'ca-key.pem'))
    t.match(await runConfab(['certs', other]), { code: 2, stderr: message })
    t.notOk(existsSync(join(other, 'server.pem')))
  }
  for (const file of [path('server-key'), join(folder, 'none'), folder])
    t.match(await runConfab(['certs', 'show', file]), { code: 2, stderr: /BAD_OPTION: / })
})

/** Asks the admin listener, with a client certificate or without. */
const askAdmin = (url: string, certificate?: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const client =
      certificate === undefined
        ? {}
        : { cert: readFileSync(path(certificate)), key: readFileSync(path(`${certificate}-key`)) }
    request(url, { ca: readFileSync(path('ca')), agent: false, ...client }, answer => {
      let text = ''
      answer.on('data', chunk => {
        text += chunk
      })
      answer.on('end', () => resolve(text))
    })
      .on('error', reject)
      .end()
  })

t.test('serve, send, doctor and metrics with TLS', async t => {
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(path('ca'), 'utf8')])
  const data = join(tempFolder(t), 'data')
  const config = join(tempFolder(t), 'confab.yaml')
  writeFileSync(
    config,
    JSON.stringify({
      edge: { tls: { cert: path('server'), key: path('server-key') } },
      grpc: { port: await freePort(), tls: { clientCa: path('ca') } },
      admin: { tls: { cert: path('server'), key: path('server-key'), clientCa: path('ca') } },
    }),
  )
  const confab = await untilReady(await spawnConfab({ data, tls: true, args: ['--config', config] }))
  t.teardown(() => confab.stop())
  t.equal((await fetch(`${confab.url}/healthz`)).headers.get('strict-transport-security'), 'max-age=31536000')
  t.match(confab.output(), /https:\/\/127\.0\.0\.1:\d+\/metrics/)

  const metrics = await askAdmin(`${confab.adminUrl.replace('http', 'https')}/metrics`, 'operator')
  for (const option of ['edge.tls.cert', 'admin.tls.cert', 'grpc.tls.clientCa'])
    t.match(metrics, new RegExp(`^confab_certificate_days_left\\{option="${option}"\\} \\d+`, 'm'))
  await t.rejects(askAdmin(`${confab.adminUrl.replace('http', 'https')}/metrics`), 'without a certificate')

  const send = (...args: string[]) =>
    runConfab(['send', 'lounge', 'hello', '--user', 'alice', '--data', data, ...args])
  t.match(await send(), { code: 2, stderr: /BAD_OPTION: TLS with https.+ fails: .+certificate.*--ca/ })
  t.match(await send('--ca', path('server-key')), {
    code: 2,
    stderr: /TLS_FILE: --ca: .+a private key, not a certificate/,
  })
  t.match(await send('--ca', path('ca')), { code: 0, stdout: /"seq":\d+/ })

  const doctor = await runConfab(['doctor', '--data', data, '--config', config])
  t.match(doctor.stdout, /runs, and its admin listener requires a client certificate/)
  t.match(doctor.stdout, /✗ +edge\.tls\.cert +valid for 19 more days/)
  const second = await runConfab(['serve', '--dev', '--data', data, '--port', '0'])
  t.match(second, { code: 2, stderr: /confab runs on .+ already, at https:/ })
})

t.test('a server that requires client certificates counts as a server on its data folder', async t => {
  const data = join(tempFolder(t), 'data')
  const env = {
    CONFAB_EDGE_TLS_CERT: path('server'),
    CONFAB_EDGE_TLS_KEY: path('server-key'),
    CONFAB_EDGE_TLS_CLIENT_CA: path('ca'),
  }
  const confab = await spawnConfab({ data, env })
  t.teardown(() => confab.stop())
  while (!confab.output().includes('confab is running')) await sleep(25)
  const second = await runConfab(['serve', '--dev', '--data', data, '--port', '0'])
  t.match(second, { code: 2, stderr: /confab runs on .+ already, at https:/ })
})

t.test('wrong certificates end a start with their code', async t => {
  const data = join(tempFolder(t), 'data')
  const serve = (env: Record<string, string>) =>
    runConfab(['serve', '--dev', '--data', data, '--port', '0'], env)
  const key = readFileSync(path('edge-key'), 'utf8').split('\n')[1]!
  for (const [env, message] of [
    [
      { CONFAB_EDGE_TLS_CERT: path('server'), CONFAB_EDGE_TLS_KEY: path('edge-key') },
      /TLS_KEY: edge\.tls\.key: .+ not the key of/,
    ],
    [
      { CONFAB_EDGE_TLS_CERT: path('none'), CONFAB_EDGE_TLS_KEY: path('edge-key') },
      /TLS_FILE: edge\.tls\.cert: .+ does not exist/,
    ],
    [{ CONFAB_EDGE_TLS_CERT: path('server') }, /TLS_KEY: edge\.tls\.cert: .+ set edge\.tls\.key too/],
    [{ CONFAB_EDGE_TLS_CLIENT_CA: path('ca') }, /BAD_OPTION: .*edge\.tls\.clientCa: set edge\.tls\.cert too/],
    [
      { CONFAB_ADMIN_TLS_CERT: path('ca'), CONFAB_ADMIN_TLS_KEY: path('edge-key') },
      /TLS_KEY: admin\.tls\.key/,
    ],
    [{ CONFAB_NATS_TLS_CA: path('ca') }, /BAD_OPTION: .*nats\.tls\.ca: set nats\.servers/],
  ] as const) {
    const ended = await serve(env)
    t.match(ended, { code: 2, stderr: message })
    t.notMatch(ended.stdout + ended.stderr, key)
  }
})

t.test('options that would leave a connection in clear text are refused', async t => {
  const problems = (env: Record<string, string>): string => {
    try {
      compileConfig({ env })
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }
  const file = path('ca')
  for (const [env, message] of [
    [{ CONFAB_GRPC_TLS_CLIENT_CA: file }, /grpc\.tls\.clientCa: set grpc\.port/],
    [
      { CONFAB_GRPC_TLS_CLIENT_CA: file, CONFAB_GRPC_PORT: '1' },
      /grpc\.tls\.clientCa: set grpc\.tls\.cert too, or edge/,
    ],
    [{ CONFAB_CASSANDRA_TLS_CA: file }, /cassandra\.tls\.ca: set cassandra\.contactPoints/],
    [{ CONFAB_ELASTICSEARCH_TLS_CERT: file }, /elasticsearch\.tls\.cert: set elasticsearch\.nodes/],
    [{ CONFAB_ELASTICSEARCH_TLS_CA: file, CONFAB_ELASTICSEARCH: 'https://a,http://b' }, /write https:\/\//],
    [
      { CONFAB_S3_TLS_CA: file, CONFAB_S3_BUCKET: 'b', CONFAB_S3: 'http://s3' },
      /s3\.tls\.ca: write https:\/\//,
    ],
  ] as const)
    t.match(problems(env), message, JSON.stringify(env))
  t.equal(problems({ CONFAB_S3_TLS_CA: file, CONFAB_S3_BUCKET: 'b' }), '')
  t.match(
    compileConfig({ env: { CONFAB_CASSANDRA: 'a', CONFAB_CASSANDRA_TLS: 'true', CONFAB_CASSANDRA_CA: file } })
      .cassandra,
    { tls: true, caFile: file },
    'former names',
  )
})

t.test('listeners in clear text that other machines reach are known', async t => {
  const open = (env: Record<string, string>) => openListeners(compileConfig({ env }))
  const all = { CONFAB_HOST: '0.0.0.0', CONFAB_GRPC_PORT: '1', CONFAB_ADMIN_HOST: '::' }
  const cert = { CONFAB_EDGE_TLS_CERT: path('server'), CONFAB_EDGE_TLS_KEY: path('server-key') }
  t.same(open({}), [], 'loopback')
  t.same(open(all), ['edge', 'grpc', 'admin'])
  t.same(open({ ...all, ...cert }), ['admin'])
  t.same(open({ ...all, CONFAB_EDGE_TRUST_PROXY: '1' }), ['admin'], 'behind a proxy')
  t.same(open({ ...all, CONFAB_ADMIN_PORT: 'off', CONFAB_ROLES: 'commands' }), [])
})
