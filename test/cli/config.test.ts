import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ConfigError, compileConfig, devSecret, unknownVariables } from '../../src/infra/config/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/** What is wrong, one by one. */
const problemsOf = (sources: Parameters<typeof compileConfig>[0]): readonly string[] => {
  try {
    compileConfig(sources)
    return []
  } catch (error) {
    if (!ConfigError.is(error)) throw error
    return error.problems
  }
}

t.test('nothing given: the defaults, frozen', async t => {
  const config = compileConfig({ cwd: '/somewhere' })
  t.match(config, { dev: false, host: '127.0.0.1', port: 8080, logLevel: 'info', drainMs: 10_000 })
  t.same(config.roles, ['edge', 'commands', 'projections'])
  t.equal(config.natsServers, undefined)
  t.ok(Object.isFrozen(config))
})

t.test('flags beat the environment, which beats the file, which beats the defaults', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'confab.yaml')
  writeFileSync(
    file,
    'port: 1\nhost: a.example\ndata: here\ndrain: 2m\ncommands:\n  cache: 64MiB\nlog:\n  level: debug\n',
  )
  const config = compileConfig({
    flags: { port: '3', data: 'flagged' },
    env: { CONFAB_PORT: '2', CONFAB_HOST: 'b.example', CONFAB_NATS: 'one:4222, nats://two:4222' },
    file,
    cwd: '/somewhere',
  })
  t.match(config, {
    port: 3,
    host: 'b.example',
    data: '/somewhere/flagged',
    drainMs: 120_000,
    logLevel: 'debug',
  })
  t.equal(config.stateCacheBytes, 64 * 1024 ** 2)
  t.same(config.natsServers, ['nats://one:4222', 'nats://two:4222'])
  t.equal(
    compileConfig({ env: { CONFAB_CONFIG: file } }).data,
    join(folder, 'here'),
    'paths of a file start from its folder',
  )
})

t.test('every wrong or unknown key is named, with its place', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'confab.yaml')
  writeFileSync(
    file,
    '# a comment\nport: eighty\nprot: 80\nlog:\n  level: loud\n  colour: red\nroles: [edge, kitchen]\ndrain: 5\n',
  )
  t.same(problemsOf({ file }), [
    `${file}:3: prot: unknown key`,
    `${file}:6: log.colour: unknown key`,
    `${file}:2: port: must be a whole number from 0 to 65535, not "eighty"`,
    `${file}:7: roles: must be one of edge, commands, projections, not ["edge","kitchen"]`,
    `${file}:5: log.level: must be one of trace, debug, info, warn, error, fatal, silent, not "loud"`,
    `${file}:8: drain: must be a time with its unit, such as 500ms, 10s or 2m, not 5`,
  ])
  t.same(problemsOf({ flags: { port: '70000' }, env: { CONFAB_ROLES: 'chef' } }), [
    '--port: must be a whole number from 0 to 65535, not "70000"',
    'CONFAB_ROLES: must be one of edge, commands, projections, not "chef"',
  ])
})

t.test('a file that is none', async t => {
  const folder = tempFolder(t)
  t.match(problemsOf({ file: join(folder, 'missing.yaml') }), [/ENOENT/])
  const broken = join(folder, 'broken.yaml')
  writeFileSync(broken, 'port: [1\n')
  t.match(problemsOf({ file: broken }), [/broken\.yaml:\d/])
  const list = join(folder, 'list.yaml')
  writeFileSync(list, '- port\n')
  t.match(problemsOf({ file: list }), [/must be a map/])
  const empty = join(folder, 'empty.yaml')
  writeFileSync(empty, '# nothing\n')
  t.equal(compileConfig({ file: empty }).port, 8080)
})

t.test('what is not built yet is refused', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'confab.yaml')
  writeFileSync(file, 's3:\n  bucket: b\n')
  const problems = problemsOf({
    env: {
      CONFAB_CASSANDRA: 'host:9042',
      CONFAB_ELASTICSEARCH: 'http://host:9200',
      CONFAB_CASSANDRA_DC: 'dc1',
    },
    file,
  })
  t.equal(problems.length, 3)
  for (const problem of problems) t.match(problem, /comes later/)
})

t.test('secrets', async t => {
  t.match(problemsOf({ env: { CONFAB_JWT_SECRET: 'short' } }), [/at least 32 bytes/])
  t.notMatch(problemsOf({ env: { CONFAB_JWT_SECRET: 'short' } })[0], /"short"/, 'are never shown')
  t.same(
    problemsOf({ flags: { dev: true }, env: { CONFAB_JWT_SECRET: 'short' } }),
    [],
    'may be short in development',
  )

  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const secret = devSecret(data)
  t.ok(secret.length >= 43)
  t.equal(devSecret(data), secret, 'is made once')
  t.equal(readFileSync(join(data, 'dev-secret'), 'utf8'), secret)
  t.equal(statSync(join(data, 'dev-secret')).mode & 0o777, 0o600, "is its owner's alone")
  mkdirSync(join(folder, 'other'))
  t.not(devSecret(join(folder, 'other')), secret)
})

t.test('variables that look like ours and are not', async t => {
  t.same(unknownVariables({ CONFAB_PROT: '1', CONFAB_PORT: '1', CONFAB_S3_BUCKET: 'b', PATH: '/' }), [
    'CONFAB_PROT',
  ])
})
