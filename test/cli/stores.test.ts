import t from 'tap'
import { schemaVersion } from '../../src/infra/cassandra/index.ts'
import { runConfab } from '../harness/replay.ts'
import { service } from '../harness/service.ts'
import { dropAfter, optionsFor } from '../infra/cassandra/keyspace.ts'

t.test('without Cassandra, stores refuses to migrate', async t => {
  const { code, stderr } = await runConfab(['stores', 'migrate'])
  t.equal(code, 2)
  t.match(stderr, /error BAD_OPTION: .*CONFAB_CASSANDRA/)
})

const server = await service(t, 'cassandra')
if (server !== undefined)
  t.test('stores reports a missing keyspace, creates it, and leaves it unchanged', async t => {
    const options = optionsFor(server)
    dropAfter(t, options)
    const env = {
      CONFAB_CASSANDRA: options.contactPoints.join(','),
      CONFAB_CASSANDRA_DC: options.dataCenter,
      CONFAB_CASSANDRA_KEYSPACE: options.keyspace,
    }
    const missing = await runConfab(['stores', 'status'], env)
    t.equal(missing.code, 1)
    t.match(missing.stdout, new RegExp(`^cassandra +${options.keyspace} +none +${schemaVersion}`, 'm'))
    t.match(missing.stderr, /error NOT_READY: .*stores migrate/)
    const made = await runConfab(['stores', 'migrate'], { ...env, CONFAB_CASSANDRA_REPLICATION_FACTOR: '1' })
    t.equal(made.code, 0)
    t.match(made.stdout, new RegExp(`^cassandra +${options.keyspace} +0 +${schemaVersion} +created`, 'm'))
    const again = await runConfab(['stores', 'migrate'], env)
    t.match(again.stdout, /unchanged$/m)
    const status = await runConfab(['stores', 'status', '--json'], env)
    t.equal(status.code, 0)
    t.match(JSON.parse(status.stdout), {
      version: schemaVersion,
      needed: schemaVersion,
      replication: { [options.dataCenter]: 1 },
      nodes: [{ reachable: true }],
    })
    const elsewhere = await runConfab(['stores', 'status'], { ...env, CONFAB_CASSANDRA: '127.0.0.1:1' })
    t.equal(elsewhere.code, 1)
    t.match(elsewhere.stderr, /error CASSANDRA_UNREACHABLE: /)
    t.notMatch(elsewhere.stderr, /\n {4}at /)
  })
