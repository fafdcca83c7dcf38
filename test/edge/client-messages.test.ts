import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client as ElasticsearchClient } from '@elastic/elasticsearch'
import { Client as CassandraClient } from 'cassandra-driver'
import t from 'tap'
import { visibleError } from '../../src/edge/requests/answers.ts'
import { ConfabError, operatorText } from '../../src/events/index.ts'
import { toStoreError } from '../../src/infra/cassandra/cassandra-error.ts'
import { answered } from '../../src/infra/elasticsearch/elasticsearch-error.ts'
import { refusalError } from '../../src/infra/nats/client/publish-ack.ts'
import { unavailable } from '../../src/infra/nats/log/log-reader.ts'
import { openWriter } from '../../src/infra/sqlite/database.ts'
import { startConfab } from '../harness/confab.ts'

/** Parts of messages that name the inside of an installation: addresses, ports, URLs, paths. */
const inner = /\d+\.\d+\.\d+\.\d+|localhost|:\d{2,5}\b|\w+:\/\/|ECONN|\/dev\/|\/tmp\/|\/var\/|no_such_host/

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const asClient = (error: unknown) => visibleError(error, silent, {})

/** Resolves with the error that a call fails with. */
const failureOf = (work: () => unknown): Promise<unknown> =>
  Promise.resolve()
    .then(work)
    .then(
      () => undefined,
      (error: unknown) => error,
    )

t.test('errors of unreachable databases name no address to clients, and one to operators', async t => {
  const cassandra = new CassandraClient({ contactPoints: ['127.0.0.1:1'], localDataCenter: 'dc1' })
  const elasticsearch = new ElasticsearchClient({ node: 'http://127.0.0.1:1', maxRetries: 0 })
  const errors = {
    cassandra: toStoreError(await failureOf(() => cassandra.connect())),
    elasticsearch: await failureOf(() => answered(() => elasticsearch.search())),
    log: unavailable('connect ECONNREFUSED 10.1.2.3:4222'),
    append: refusalError({ code: 500, errCode: 1, description: 'nats://10.1.2.3:4222' }),
    full: refusalError({ code: 500, errCode: 10_047, description: 'nats://10.1.2.3:4222' }),
    sqlite: await failureOf(() => openWriter('/dev/null/no/views.db')),
  }
  for (const [name, error] of Object.entries(errors)) {
    t.ok(ConfabError.is(error), `${name}: ${String(error)}`)
    t.notMatch(JSON.stringify(asClient(error)), inner, name)
  }
  for (const name of ['cassandra', 'log', 'append'] as const)
    t.match(operatorText(errors[name]), /:1\b|:4222/, name)
  t.match(operatorText(errors.sqlite), /\/dev\/null/)
  await cassandra.shutdown()
  await elasticsearch.close()
})

t.test('without NATS, no answer names it', async t => {
  const confab = await startConfab(t, { limits: { stalenessMs: 60_000 } })
  const alice = await confab.connect('alice')
  await alice.ok('create', { c: 'tea', kind: 'group', members: ['bob'] })
  await alice.ok('send', { c: 'tea', m: 'm1', text: 'hello' })
  await confab.nats.kill9()
  while (confab.connection.connected()) await sleep(10)
  const failed: string[] = []
  await Promise.all(
    (
      [
        ['history', { c: 'unknown' }],
        ['conversation', { c: 'other' }],
        ['members', { c: 'third' }],
        ['read', { c: 'fourth', seq: 1 }],
        ['join', { c: 'fifth' }],
      ] as const
    ).map(async ([type, fields]) => {
      const { error } = await alice.request(type, { ...fields })
      if (error !== undefined) failed.push(JSON.stringify(error))
    }),
  )
  t.ok(failed.length >= 3, failed.join('\n'))
  for (const error of failed) t.notMatch(error, inner)
  await confab.nats.restart()
})

t.test('no message about another component is put together from its errors', async t => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(
    path => path.endsWith('.ts') && !path.startsWith('cli'),
  )
  const built =
    /new ConfabError\(\s*'(UNAVAILABLE|INTERNAL|UNREADABLE_EVENT|LOG_DAMAGED)',(?!\s*(?:undefined|'|"))/g
  for (const path of sources)
    t.same(readFileSync(join('src', path), 'utf8').match(built) ?? [], [], `${path}: use \`detail\``)
})
