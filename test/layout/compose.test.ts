import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { compileConfig } from '../../src/infra/config/index.ts'
import { inboxesOf, type NatsUser } from '../../src/infra/nats/rights/rights.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Service {
  readonly image?: string
  readonly build?: string
  readonly command?: string | readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes?: readonly string[]
  readonly depends_on?: Readonly<Record<string, object>>
  readonly healthcheck?: object
}

const { services, volumes } = parse(read('compose.yaml'), { merge: true }) as {
  services: Readonly<Record<string, Service>>
  volumes: object
}
const confabs = Object.entries(services).filter(([, { image }]) => image === 'confab')

const secret = randomBytes(32).toString('hex')
/** A variable without which Docker refuses to start, and says why. */
const required = /^\$\{\w+:\?.+\}$/

t.test('no secret is in the file: Docker requires the operator’s', async t => {
  let seen = 0
  for (const [name, { environment = {} }] of Object.entries(services))
    for (const [key, value] of Object.entries(environment))
      if (/SECRET|PASSWORD|TOKEN/.test(key)) {
        seen++
        t.match(value, required, `${name}: ${key}`)
      } else if (key === 'CONFAB_NATS') t.match(value, /^nats:\/\/[a-z]+:\$\{\w+\}@/, `${name}: ${key}`)
  t.ok(seen >= 27, `${seen} secrets`)
  t.ok(read('.gitignore').split('\n').includes('.env'))
  t.ok(read('.dockerignore').split('\n').includes('.env'), 'the image has no secrets')
})

t.test('every confab process starts from a valid configuration', async t => {
  t.same(confabs.map(([name]) => name).sort(), [
    'commands-1',
    'commands-2',
    'edge-1',
    'edge-2',
    'migrate',
    'projections',
    'streams',
  ])
  for (const [name, { environment = {}, build }] of confabs) {
    t.equal(build, '.')
    const env = Object.fromEntries(
      // As Docker does where the variable is set.
      Object.entries(environment).map(([key, value]) => [
        key,
        value.replace(required, secret).replace(/\$\{\w+\}/, secret),
      ]),
    )
    const config = compileConfig({ env: { ...env, CONFAB_CONFIG: 'ops/compose/confab.yaml' }, cwd: root })
    t.match(config, {
      natsReplicas: 3,
      dev: false,
      cassandra: { contactPoints: ['cassandra:9042'] },
      elasticsearch: { nodes: ['http://elasticsearch:9200'] },
      s3: { bucket: 'confab-media' },
    })
    const hosts = [
      ...(config.natsServers ?? []),
      ...(config.elasticsearch.nodes ?? []),
      config.s3.endpoint ?? '',
      ...(config.cassandra.contactPoints ?? []).map(point => `cql://${point}`),
    ].map(url => new URL(url).hostname)
    for (const host of hosts) t.ok(host in services, `${name} finds ${host}`)
    if (name === 'migrate') continue
    const user = name === 'streams' ? 'operator' : config.roles.join()
    t.equal(new URL(config.natsServers?.[0] ?? '').username, user, `${name}: the NATS user of its role`)
    t.equal(environment.CONFAB_NATS?.includes(`_${user.toUpperCase()}_PASSWORD}`), true)
    if (user !== 'operator') t.equal(`${config.natsInboxPrefix}.>`, inboxesOf(user as NatsUser))
  }
})

t.test('the servers are those of the tests', async t => {
  // An image may have a digest beside its version.
  const imageOf = (name: string): string => services[name]?.image?.replace(/@sha256:[0-9a-f]{64}$/, '') ?? ''
  const versionIn = (path: string, pattern: RegExp): string =>
    pattern.exec(read(path))?.[1] ?? `none in ${path}`
  const nats = versionIn('src/infra/nats/client/server-versions.ts', /goVersion: '([\d.]+)'/)
  for (const name of ['nats-1', 'nats-2', 'nats-3']) t.equal(imageOf(name), `nats:${nats}-alpine`)
  const cassandra = versionIn('test/services/cassandra.sh', /CASSANDRA_VERSION:-([\d.]+)/)
  t.equal(imageOf('cassandra'), `cassandra:${cassandra}`)
  const elasticsearch = versionIn('test/services/elasticsearch.sh', /^VERSION=([\d.]+)/m)
  t.equal(imageOf('elasticsearch'), `docker.elastic.co/elasticsearch/elasticsearch:${elasticsearch}`)
  const s3 = versionIn('test/services/s3.sh', /S3_VERSION:-v([\d.]+)/)
  t.equal(imageOf('s3'), `versity/versitygw:v${s3}`)
})

t.test('mounts, names and dependencies of services exist', async t => {
  for (const [name, service] of Object.entries(services)) {
    for (const volume of service.volumes ?? []) {
      const [source = ''] = volume.split(':')
      t.ok(source.startsWith('.') ? existsSync(join(root, source)) : source in volumes, `${name}: ${source}`)
    }
    for (const other of Object.keys(service.depends_on ?? {}))
      t.ok(other in services, `${name} waits for ${other}`)
  }
  const variables = ['nats/cluster.conf', 'nats/users.conf'].flatMap(path =>
    [...read(path).matchAll(/: \[?\$(CONFAB_NATS_\w+)/g)].map(([, variable]) => variable),
  )
  for (const name of ['nats-1', 'nats-2', 'nats-3'])
    t.same(Object.keys(services[name]?.environment ?? {}).sort(), variables.sort(), name)
  for (const path of ['package.json', 'package-lock.json', 'bin', 'streams', 'nats', 'scripts/build.ts'])
    t.ok(
      existsSync(join(root, path)) && !read('.dockerignore').split('\n').includes(path),
      `the image has ${path}`,
    )
})
