import { randomBytes, randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { variableOf } from '../../src/base/option.ts'
import { defaultBusLimits, defaultRemoteLimits } from '../../src/commands/index.ts'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import {
  allOptions,
  ConfigError,
  compileConfig,
  configReference,
  devSecret,
  unknownVariables,
} from '../../src/infra/config/index.ts'
import { tempFolder } from '../harness/temp-folder.ts'

const strong = 'Zq8vN1xT4kR7mB2wY9cL5pD3hS6gJ0fA'

/** Returns the problems of a configuration. */
const problemsOf = (sources: Parameters<typeof compileConfig>[0]): readonly string[] => {
  try {
    compileConfig(sources)
    return []
  } catch (error) {
    if (!ConfigError.is(error)) throw error
    return error.problems
  }
}

t.test('without sources, the configuration holds the defaults and is frozen', async t => {
  const config = compileConfig({ cwd: '/somewhere' })
  t.match(config, { dev: false, host: '127.0.0.1', port: 8080, logLevel: 'info', drainMs: 10_000 })
  t.same(config.roles, ['edge', 'commands', 'projections'])
  t.equal(config.natsServers, undefined)
  t.ok(Object.isFrozen(config))
})

t.test('options of tokens that depend on each other, and the second secret', async t => {
  const developmentIsSeparate = /^dev: excludes jwt\.secret, jwt\.previousSecret and jwt\.jwks/
  const cases: [env: Record<string, string>, dev: boolean, problem: RegExp | undefined][] = [
    [{ CONFAB_JWKS: 'https://id.example.com/jwks' }, false, undefined],
    [{ CONFAB_JWKS: 'http://id.example.com/jwks' }, false, /^jwt\.jwks: must be an https URL/],
    [{ CONFAB_JWKS: 'https://id.example.com/jwks' }, true, developmentIsSeparate],
    [{ CONFAB_JWT_SECRET: strong }, true, developmentIsSeparate],
    [{ CONFAB_JWT_PREVIOUS_SECRET: strong }, true, developmentIsSeparate],
    [{ CONFAB_JWKS: 'http://id.example.com/jwks', CONFAB_JWT_JWKS_INSECURE: 'true' }, false, undefined],
    [{ CONFAB_JWT_REQUIRE_EXPIRY: 'false' }, true, undefined],
    [{ CONFAB_JWT_REQUIRE_EXPIRY: 'false' }, false, /^jwt\.requireExpiry: false is accepted with --dev only/],
    [{ CONFAB_JWT_SECRET: strong, CONFAB_JWT_PREVIOUS_SECRET: `${strong}!` }, false, undefined],
    [
      { CONFAB_JWT_PREVIOUS_SECRET: 'short' },
      false,
      /^CONFAB_JWT_PREVIOUS_SECRET: must have at least 32 bytes/,
    ],
    [{ CONFAB_JWT_MAX_LIFETIME: '10s' }, false, /^CONFAB_JWT_MAX_LIFETIME: must be from 1m to 366d/],
  ]
  for (const [env, dev, problem] of cases) {
    const problems = problemsOf({ env, flags: { dev } })
    if (problem === undefined) t.same(problems, [], JSON.stringify(env))
    else t.match(problems, [problem], JSON.stringify(env))
  }
  const { audience, issuer } = compileConfig({
    env: { CONFAB_JWT_AUDIENCE: 'chat, call', CONFAB_JWT_ISSUER: 'https://id.example.com' },
  }).tokens
  t.same([audience, issuer], [['chat', 'call'], ['https://id.example.com']])
})

t.test('flags override the environment, which overrides the file, which overrides the defaults', async t => {
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
  t.equal(config.commands.conversationBytes, 64 * 1024 ** 2)
  t.same(config.natsServers, ['nats://one:4222', 'nats://two:4222'])
  t.equal(
    compileConfig({ env: { CONFAB_CONFIG: file } }).data,
    join(folder, 'here'),
    'paths in a file are relative to its folder',
  )
})

t.test('errors name every wrong or unknown key with its place', async t => {
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
    `${file}:8: drain: must be a time with its unit, such as 500ms, 10s or 2m, not 5`,
    `${file}:5: log.level: must be one of trace, debug, info, warn, error, fatal, silent, not "loud"`,
  ])
  t.same(problemsOf({ flags: { port: '70000' }, env: { CONFAB_ROLES: 'chef' } }), [
    '--port: must be a whole number from 0 to 65535, not "70000"',
    'CONFAB_ROLES: must be one of edge, commands, projections, not "chef"',
  ])
})

t.test('bounds of edge and commands have units and ranges, and the reference lists them', async t => {
  const folder = tempFolder(t)
  const file = join(folder, 'confab.yaml')
  writeFileSync(
    file,
    'edge:\n  inFlight: 64\n  backpressure: 1MiB\n  heartbeat: 1m\ncommands:\n  queued: 7\n  remote:\n    patience: 3s\n',
  )
  const config = compileConfig({ file, env: { CONFAB_EDGE_IN_FLIGHT: '32', CONFAB_COMMANDS_DEADLINE: '2s' } })
  t.same(config.edge, {
    ...defaultEdgeLimits,
    inFlight: 32,
    backpressureBytes: 1024 ** 2,
    heartbeatMs: 60_000,
  })
  t.same(config.commands, { ...defaultBusLimits, queued: 7, deadlineMs: 2_000 })
  t.same(config.remoteCommands, { ...defaultRemoteLimits, timeoutMs: 3_000 })
  t.ok(Object.isFrozen(config.edge) && Object.isFrozen(config.commands))
  const nothing = compileConfig({})
  t.same(nothing.edge, defaultEdgeLimits)
  t.same(nothing.commands, defaultBusLimits)
  t.same(nothing.remoteCommands, defaultRemoteLimits)

  writeFileSync(
    file,
    'edge:\n  inflight: 64\n  resumes: 0\n  slow: 5\n  closingFrame: 8MiB\ncommands:\n  open: many\n  remote: 5\n',
  )
  t.same(problemsOf({ file, env: { CONFAB_COMMANDS_REMOTE_TRY_AGAIN: '1h' } }), [
    `${file}:2: edge.inflight: unknown key`,
    `${file}:8: commands.remote: unknown key`,
    `${file}:3: edge.resumes: must be a whole number from 1 to 10000, not 0`,
    `${file}:4: edge.slow: must be a time with its unit, such as 500ms, 10s or 2m, not 5`,
    `${file}:7: commands.open: must be a whole number from 1 to 10000000, not "many"`,
    'CONFAB_COMMANDS_REMOTE_TRY_AGAIN: must be from 250ms to 1m, not "1h"',
    `${file}:5: edge.closingFrame: must not be more than edge.transportFrame`,
  ])
  t.same(problemsOf({ env: { CONFAB_COMMANDS_BATCH_MOST: '8' } }), [
    'CONFAB_COMMANDS_BATCH_MOST: must not be less than commands.batchFrom',
  ])
  t.same(compileConfig({ flags: { roles: 'edge, edge' } }).roles, ['edge'])
  t.same(unknownVariables({ CONFAB_EDGE_SLOW: '1s', CONFAB_EDGE_FAST: '1s' }), ['CONFAB_EDGE_FAST'])
  const reference = configReference()
  t.match(
    reference,
    / {2}edge\.inFlight +Unanswered .*\n +integer, requests; default 512; 1 to 65536; CONFAB_EDGE_IN_FLIGHT\n/,
  )
  t.match(
    reference,
    / {2}commands\.cache +Memory [^;]*\n +size; default 256MiB; 1MiB to 1024GiB; CONFAB_COMMANDS_CACHE\n/,
  )
  t.match(
    reference,
    / {2}commands\.remote\.timeout +Time .*\n +duration; default 8s; 250ms to 5m; CONFAB_COMMANDS_REMOTE_TIMEOUT\n/,
  )
})

t.test('errors of an unreadable or malformed file', async t => {
  const folder = tempFolder(t)
  t.match(problemsOf({ file: join(folder, 'missing.yaml') }), [/missing\.yaml: the file does not exist$/])
  t.match(problemsOf({ file: folder }), [/: this is a folder, not a file$/])
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

t.test('options of Cassandra', async t => {
  const env = { CONFAB_CASSANDRA: 'one, two:9142,[::1]:9042', CONFAB_CASSANDRA_DC: 'dc1' }
  t.match(compileConfig({ env }).cassandra, {
    contactPoints: ['one:9042', 'two:9142', '[::1]:9042'],
    dataCenter: 'dc1',
    keyspace: 'confab',
  })
  t.equal(compileConfig({}).cassandra.contactPoints, undefined)
  const problems = problemsOf({
    env: { CONFAB_CASSANDRA: 'http://one', CONFAB_CASSANDRA_KEYSPACE: 'Chat"; DROP' },
  })
  t.match(problems, [
    /CONFAB_CASSANDRA: must be an address/,
    /CONFAB_CASSANDRA_KEYSPACE: must be 1 to 48 of a-z/,
  ])
})

t.test('options of adapters have the defaults of their tables, and an order of dependent bounds', async t => {
  t.match(compileConfig({}), {
    tokens: { clockToleranceMs: 5_000, cachedTokens: 10_000, cachedMs: 60_000 },
    s3: { region: 'us-east-1', connectMs: 3_000, timeoutMs: 30_000 },
    cassandra: { timeoutMs: 6_000, connectMs: 5_000, speculateAfterMs: 200, writesInFlight: 512 },
    elasticsearch: { prefix: 'confab', timeoutMs: 10_000, lookMs: 60_000, leadMs: 600_000 },
  })
  t.same(problemsOf({ env: { CONFAB_ELASTICSEARCH_LEAD_TIME: '30s' } }), [
    'CONFAB_ELASTICSEARCH_LEAD_TIME: must not be less than elasticsearch.checkEvery',
  ])
})

t.test('edge.corsOrigins accepts origins and *', async t => {
  const origins = (value: string) => compileConfig({ env: { CONFAB_EDGE_CORS_ORIGINS: value } }).corsOrigins
  t.equal(compileConfig({}).corsOrigins, undefined, 'none by default')
  t.same(origins('*'), ['*'])
  t.same(origins('https://chat.example, http://localhost:3000'), [
    'https://chat.example',
    'http://localhost:3000',
  ])
  for (const wrong of ['chat.example', 'https://chat.example/', 'https://Chat.example', 'ftp://chat.example'])
    t.match(
      problemsOf({ env: { CONFAB_EDGE_CORS_ORIGINS: wrong } }),
      [/^CONFAB_EDGE_CORS_ORIGINS: must be an origin such as https:\/\/chat\.example\.com, or \*, not /],
      wrong,
    )
})

t.test('secrets are long, hidden in errors, and created once for development', async t => {
  t.match(problemsOf({ env: { CONFAB_JWT_SECRET: 'short' } }), [/at least 32 bytes/])
  t.notMatch(problemsOf({ env: { CONFAB_JWT_SECRET: 'short' } })[0], /"short"/, 'errors do not show secrets')

  const folder = tempFolder(t)
  const data = join(folder, 'data')
  const secret = devSecret(data)
  t.ok(secret.length >= 43)
  t.equal(devSecret(data), secret, 'the secret is created once')
  t.equal(readFileSync(join(data, 'dev-secret'), 'utf8'), secret)
  t.equal(statSync(join(data, 'dev-secret')).mode & 0o777, 0o600, 'only the owner can read the secret')
  mkdirSync(join(folder, 'other'))
  t.not(devSecret(join(folder, 'other')), secret)
})

t.test('the former key of an option is still read, and its current key overrides it', async t => {
  const file = join(tempFolder(t), 'confab.yaml')
  const timeoutOf = (text: string, env: Record<string, string> = {}): number => {
    writeFileSync(file, text)
    t.same(unknownVariables(env), [])
    return compileConfig({ file, env }).remoteCommands.timeoutMs
  }
  t.equal(timeoutOf('commands:\n  remote:\n    patience: 9s\n'), 9_000)
  t.equal(timeoutOf('commands:\n  remote:\n    patience: 9s\n    timeout: 7s\n'), 7_000)
  t.equal(
    timeoutOf('commands:\n  remote:\n    timeout: 7s\n', { CONFAB_COMMANDS_REMOTE_PATIENCE: '6s' }),
    6_000,
  )
  t.same(problemsOf({ env: { CONFAB_COMMANDS_REMOTE_PATIENCE: 'x' } }), [
    problemsOf({ env: { CONFAB_COMMANDS_REMOTE_TIMEOUT: 'x' } })[0]?.replace('TIMEOUT', 'PATIENCE'),
  ])
})

t.test('unknown variables with the prefix CONFAB_ are reported', async t => {
  t.same(unknownVariables({ CONFAB_PROT: '1', CONFAB_PORT: '1', CONFAB_S3_BUCKET: 'b', PATH: '/' }), [
    'CONFAB_PROT',
  ])
})

t.test('secrets that can be guessed are refused, random ones are accepted', async t => {
  for (const weak of [
    'a'.repeat(32),
    'ab'.repeat(20),
    `${'a'.repeat(16)}${'b'.repeat(16)}`,
    'passwordpasswordpasswordpassword',
    '12345678901234567890123456789012',
    '0123456789abcdef0123456789abcdef',
    'abcdefghijklmnopqrstuvwxyz012345',
    'zyxwvutsrqponmlkjihgfedcba987654',
    'qwertyuiopasdfghjklzxcvbnm123456',
    'changeme-changeme-changeme-changeme',
    'your-256-bit-secret-your-256-bit-secret',
    'thisisaverysecretkeythatnobodyknows',
    'only for trying it out, known to everybody',
    'development-secret-do-not-use-in-production',
  ]) {
    const problems = problemsOf({ env: { CONFAB_JWT_SECRET: weak } })
    t.match(problems, [/^CONFAB_JWT_SECRET: can be guessed: .*openssl rand -base64 32/s], weak)
    t.notOk(problems[0]?.includes(weak), 'the message does not show it')
  }
  t.same(problemsOf({ env: { CONFAB_JWT_SECRET: strong } }), [])
  for (let round = 0; round < 200; round++)
    for (const encoding of ['base64', 'base64url', 'hex'] as const) {
      const random = randomBytes(32).toString(encoding)
      if (problemsOf({ env: { CONFAB_JWT_SECRET: random } }).length > 0) t.fail(random)
    }
  // Password managers create letters and digits. A random value may happen to look like words.
  const digits = '0123456789'
  const lower = 'abcdefghijklmnopqrstuvwxyz'
  for (const characters of [lower + digits, lower + lower.toUpperCase() + digits]) {
    const randoms = Array.from({ length: 300 }, () =>
      Array.from({ length: 32 }, () => characters[randomInt(characters.length)]).join(''),
    )
    const refused = randoms.filter(random => problemsOf({ env: { CONFAB_JWT_SECRET: random } }).length > 0)
    t.ok(
      refused.length < 20,
      `${refused.length} of 300 random secrets of ${characters.length} characters are refused`,
    )
  }
})

t.test('every secret may be in a file, and errors name option and file but no content', async t => {
  const folder = tempFolder(t)
  const path = join(folder, 'secret')
  const secrets = allOptions.filter(({ secret }) => secret !== undefined)
  t.ok(secrets.length >= 7, `${secrets.length} secrets`)
  for (const option of secrets) {
    const variable = variableOf(option)!
    const content = option.secret === 'url' ? 'https://user:marked-secret@one.example' : strong
    const url = option.key === 'nats.servers' ? content.replace('https', 'nats') : content
    for (const newline of ['', '\n', '\r\n']) {
      writeFileSync(path, `${url}${newline}`)
      const config = compileConfig({ env: { [`${variable}_FILE`]: path } })
      t.ok(JSON.stringify(config).includes(`"${url}"`), `${variable}_FILE`)
    }
    t.same(unknownVariables({ [`${variable}_FILE`]: path }), [])
    t.match(problemsOf({ env: { [`${variable}_FILE`]: join(folder, 'none') } }), [
      `${variable}_FILE: ${join(folder, 'none')}: the file does not exist`,
    ])
    t.match(problemsOf({ env: { [variable]: url, [`${variable}_FILE`]: path } }), [
      `${variable} and ${variable}_FILE: set one of them`,
    ])
    writeFileSync(path, '\n')
    t.match(problemsOf({ env: { [`${variable}_FILE`]: path } }), [
      new RegExp(`^${variable}_FILE: ${path}: must (be|name)[^"]*$`),
    ])
  }
  // Relative to the folder of the configuration file.
  writeFileSync(path, `${strong}\n`)
  writeFileSync(join(folder, 'confab.yaml'), 'jwt:\n  secret: file:secret\n')
  t.equal(compileConfig({ file: join(folder, 'confab.yaml'), cwd: '/somewhere' }).tokens.secret, strong)
  writeFileSync(path, 'marked-weak-secret')
  t.match(problemsOf({ file: join(folder, 'confab.yaml') }), [
    new RegExp(`confab\\.yaml:2: jwt\\.secret: ${path}: must have at least 32 bytes`),
  ])
})

t.test('errors show no credentials: of URLs, of secrets, of the text of a file', async t => {
  const marked = 'marked-secret-7f3a'
  for (const value of [
    `http://user:${marked}@one.example`,
    `user:${marked}@@:one`,
    `nats://user:${marked}/x@one`,
    `nats://one,nats://user:${marked}@[two`,
  ]) {
    const problems = problemsOf({ env: { CONFAB_NATS: value } })
    t.equal(problems.length, 1, value)
    t.notOk(problems[0]?.includes(marked), value.replace(marked, '…'))
  }
  t.match(problemsOf({ env: { CONFAB_NATS: 'http://one.example' } }), [/not "http:\/\/one\.example"/])
  const file = join(tempFolder(t), 'confab.yaml')
  for (const text of [
    `jwt:\n  secret: "${marked}\n`,
    `jwt:\n  secret: "x" ${marked}\n`,
    `jwt: [${marked}\n`,
    `jwt:\n  secret: *${marked}\n`,
    `jwt:\n  secret: !${marked} x\n`,
    `jwt:\n  secret: {${marked}: 1}\n`,
    `jwt:\n  secret: &${marked}\n`,
    `jwt:\n\tsecret: ${marked}\n`,
    `jwt:\n  secret: >${marked}\n`,
    `jwt:\n  secret: 'a'\n  secret: ${marked}\n`,
  ]) {
    writeFileSync(file, text)
    let problems: readonly string[] = []
    t.doesNotThrow(() => {
      problems = problemsOf({ file })
    }, text)
    t.ok(problems.length > 0, text)
    t.notMatch(problems.join('\n'), marked, text)
  }
})
