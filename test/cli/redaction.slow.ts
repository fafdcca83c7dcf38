import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createProgram } from '../../src/cli/program.ts'
import { spawnConfab, untilReady } from '../harness/confab-process.ts'
import { startNats } from '../harness/nats.ts'
import { runConfab } from '../harness/replay.ts'
import { tempFolder } from '../harness/temp-folder.ts'

/** In every secret of this test; no output may contain it. */
const mark = 'Mk7Q'
let serial = 0
const marked = (): string => `${mark}vN1xT4kR${serial++}mB2wY9cL5pD3hS6gJ0fA`

/** Every place of a secret: variables, URLs, a file, the configuration file. */
const everywhere = (folder: string) => {
  const secret = join(folder, 'secret')
  const file = join(folder, 'confab.yaml')
  writeFileSync(secret, `${marked()}\n`)
  writeFileSync(
    file,
    `jwt:\n  secret: file:secret\nelasticsearch:\n  nodes: ['http://elastic:${marked()}@127.0.0.1:1']\n  apiKey: ${marked()}\n`,
  )
  return {
    file,
    env: {
      CONFAB_CONFIG: file,
      CONFAB_ELASTICSEARCH_PASSWORD_FILE: secret,
      CONFAB_CASSANDRA_USERNAME: 'confab',
      CONFAB_CASSANDRA_PASSWORD: marked(),
      CONFAB_S3_BUCKET: 'media',
      CONFAB_S3: `http://user:${marked()}@127.0.0.1:1`,
      AWS_ACCESS_KEY_ID: 'confab',
      AWS_SECRET_ACCESS_KEY: marked(),
    },
  }
}

/** The commands with their subcommands, so that a new command must be added here. */
const commandNames = createProgram().commands.flatMap(command =>
  command.commands.length === 0
    ? [command.name()]
    : command.commands.map(sub => `${command.name()} ${sub.name()}`),
)

/** Arguments with which each command runs until it meets the servers, which cannot be reached. */
const argsOf: Readonly<Record<string, readonly string[]>> = {
  token: ['--user', 'alice'],
  send: ['tea', 'hello', '--user', 'alice', '--url', `http://u:${marked()}@127.0.0.1:1`],
  tail: ['--user', 'alice', '--url', `http://u:${marked()}@127.0.0.1:1`],
  'import ndjson': ['/dev/null'],
  'import irc': ['/dev/null'],
  'projections compare': ['search'],
  'projections drop': ['search', '2'],
  'projections switch': ['search'],
  'projections rebuild': ['search'],
  'projections pause': ['search'],
  'projections resume': ['search'],
}

t.test('no command shows a secret when the servers cannot be reached', { timeout: 540_000 }, async t => {
  const { env } = everywhere(tempFolder(t))
  const unreachable = {
    ...env,
    CONFAB_NATS: `nats://user:${marked()}@127.0.0.1:1`,
    CONFAB_CASSANDRA: '127.0.0.1:1',
    CONFAB_DATA: join(tempFolder(t), 'data'),
    CONFAB_PORT: '0',
    CONFAB_ADMIN_PORT: '0',
  }
  for (const name of commandNames) {
    const args = ['--verbose', ...name.split(' '), ...(argsOf[name] ?? [])]
    const { stdout, stderr } = await runConfab(args, unreachable)
    t.ok(stdout !== '' || stderr !== '', name)
    t.notMatch(stdout + stderr, mark, name)
  }
})

t.test('no error of a command line or a configuration shows a secret', async t => {
  const folder = tempFolder(t)
  const secret = marked()
  const file = join(folder, 'wrong.yaml')
  writeFileSync(file, `jwt:\n  secret: "${secret}\nport: x\n`)
  const wrong: readonly (readonly [args: readonly string[], env?: Record<string, string>])[] = [
    [['serve', '--nats', `http://user:${secret}@one`]],
    [['serve', `--natz=nats://user:${secret}@one`]],
    [['send', 'tea', 'hi', '--user', 'alice', `--tokne=${secret}`]],
    [['serve', '--config', file]],
    [['serve'], { CONFAB_JWT_SECRET: mark.repeat(2) }],
    [['serve'], { CONFAB_JWT_SECRET: mark.repeat(12) }],
    [['serve', '--dev'], { CONFAB_JWT_SECRET: secret }],
    [['serve'], { CONFAB_JWT_SECRET: secret, CONFAB_JWT_SECRET_FILE: file }],
    [['serve'], { CONFAB_ELASTICSEARCH: `ftp://user:${secret}@one` }],
    [['serve'], { CONFAB_S3: `s3://user:${secret}@one` }],
    [['serve'], { CONFAB_JWT_SECRET: secret, CONFAB_PORT: 'x' }],
  ]
  for (const [args, env] of wrong) {
    const { code, stdout, stderr } = await runConfab(
      ['--verbose', ...args, '--data', join(folder, 'data')],
      env,
    )
    t.equal(code, 2, stderr)
    t.notMatch(stdout + stderr, mark, args.join(' ').replaceAll(mark, '…'))
  }
})

t.test('a server shows no secret: in its log, its output, its answers, its metrics', async t => {
  const folder = tempFolder(t)
  const { env } = everywhere(folder)
  const nats = await startNats(t)
  const { password } = new URL(nats.url)
  const log = join(folder, 'log')
  const data = join(folder, 'data')
  const confab = await untilReady(
    await spawnConfab({
      data,
      nats: nats.url,
      dev: false,
      env: { ...env, CONFAB_LOG_LEVEL: 'trace', CONFAB_LOG_FILE: log },
    }),
  )
  t.teardown(() => confab.stop())
  const token = (
    await runConfab(['token', '--user', 'olga', '--role', 'admin', '--data', data], env)
  ).stdout.trim()
  const headers = { authorization: `Bearer ${token}` }
  const answers: string[] = []
  for (const path of ['/readyz', '/metrics', '/v1/admin/configuration'])
    answers.push(await (await fetch(`${confab.adminUrl}${path}`, { headers })).text())
  t.match(answers.at(-1), '"elasticsearch.nodes":"http://[redacted]@127.0.0.1:1"')
  // Elasticsearch and S3 cannot be reached: their errors are logged, and answered.
  for (const path of ['/v1/search?q=tea', '/v1/inbox', '/readyz'])
    answers.push(await (await fetch(`${confab.url}${path}`, { headers })).text())
  await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers,
    body: '{"id":"1","t":"upload","name":"a.png","type":"image/png","size":10,"sha256":"x"}',
  }).then(async answer => answers.push(await answer.text()))
  await nats.kill9()
  await sleep(1_000)
  answers.push(await (await fetch(`${confab.adminUrl}/readyz`)).text())
  await nats.restart()
  await untilReady(confab)
  await confab.stop()
  const all = [...answers, confab.output(), readFileSync(log, 'utf8')].join('\n')
  t.match(all, /view database cannot be used|elasticsearch/i)
  t.notMatch(all, mark)
  t.notOk(all.includes(password))
})
