import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { connectDriver } from '../../../src/infra/cassandra/database.ts'
import {
  cassandraStatus,
  migrateCassandra,
  openCassandra,
  schemaVersion,
} from '../../../src/infra/cassandra/index.ts'
import type { Checkpoint, RosterStore } from '../../../src/projections/index.ts'
import { second } from '../../contracts/open-views.ts'
import { service } from '../../harness/service.ts'
import { dropAfter, freshKeyspace, optionsFor } from './keyspace.ts'

const server = await service(t, 'cassandra')
if (server !== undefined) {
  t.test('a keyspace is created once, by any number of processes at once', async t => {
    const options = optionsFor(server)
    dropAfter(t, options)
    await t.rejects(openCassandra(options), { code: 'CASSANDRA_NO_KEYSPACE', message: /stores migrate/ })
    t.match(await cassandraStatus(options), { version: undefined, needed: schemaVersion })
    const done = await Promise.all([1, 2, 3].map(() => migrateCassandra(options, { replicationFactor: 1 })))
    t.same(done.map(({ from }) => from).sort(), [0, schemaVersion, schemaVersion])
    t.match(await migrateCassandra(options), { from: schemaVersion, to: schemaVersion, created: false })
    t.match(await cassandraStatus(options), { version: schemaVersion, replication: { datacenter1: 1 } })
    const { stores, close } = await openCassandra(options)
    for (const projection of stores.projections) await stores.open(projection, 1)
    await close()
  })

  t.test('a keyspace of an older or newer confab is not changed', async t => {
    const options = optionsFor(server)
    dropAfter(t, options)
    const client = await connectDriver(options)
    t.teardown(() => client.shutdown())
    await client.execute(
      `CREATE KEYSPACE ${options.keyspace} WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}`,
      [],
      { prepare: false },
    )
    await t.rejects(openCassandra(options), { code: 'CASSANDRA_KEYSPACE_OLDER', message: /stores migrate/ })
    await migrateCassandra(options)
    await client.execute(
      `INSERT INTO ${options.keyspace}.schema_version (name, version) VALUES ('confab', 1000)`,
    )
    await t.rejects(openCassandra(options), { code: 'CASSANDRA_KEYSPACE_NEWER', message: /schema 1000/ })
    await t.rejects(migrateCassandra(options), { code: 'CASSANDRA_KEYSPACE_NEWER' })
    t.match(await cassandraStatus(options), { version: 1000, needed: schemaVersion })
    // As after an interrupted migration.
    await client.execute(`DELETE FROM ${options.keyspace}.schema_version WHERE name = 'confab'`)
    await client.execute(`DROP TABLE ${options.keyspace}.roster`, [], { prepare: false, readTimeout: 60_000 })
    t.match(await migrateCassandra(options), { from: 0, to: schemaVersion })
    const { viewsAt, close } = await openCassandra(options)
    t.same((await viewsAt().roster.members('c', { limit: 1 })).members, [])
    await close()
  })

  t.test('rows of every generation survive, and accept deletions and arrivals', async t => {
    const options = await freshKeyspace(t)
    if (options === undefined) return
    const before = await openCassandra(options)
    t.teardown(() => before.close())
    const client = await connectDriver(options)
    t.teardown(() => client.shutdown())
    const change = (cql: string) => client.execute(cql, [], { prepare: false, readTimeout: 60_000 })
    for (const generation of [1, 3]) {
      const inbox = await before.stores.open('inbox', generation)
      // As an older version made the tables and rows.
      const [entry, deletion] = ['inbox_entry', 'inbox_deletion'].map(
        name => `${options.keyspace}.${name}${generation === 1 ? '' : `_${generation}`}`,
      )
      await change(`DROP TABLE ${deletion}`)
      await change(`DROP TABLE ${entry}`)
      await change(`CREATE TABLE ${entry} (user text, c text, member boolean, read bigint, delivered bigint,
        sent_seq bigint, sent_n int, muted boolean, follows boolean, PRIMARY KEY ((user), c))`)
      await change(`INSERT INTO ${entry} (user, c, member) VALUES ('ann', 'c', true) USING TIMESTAMP 1`)
      await inbox.apply([
        { kind: 'activity', c: 'c', seq: 1, n: 0 },
        { kind: 'created', c: 'c', as: 'group' },
        { kind: 'message', c: 'c', seq: 2, at: second(2), n: 1, m: 'm1', from: 'bob', text: 'one' },
      ])
    }
    await change(`INSERT INTO ${options.keyspace}.schema_version (name, version) VALUES ('confab', 2)`)
    t.match(await migrateCassandra(options), { from: 2, to: schemaVersion })
    const after = await openCassandra(options)
    t.teardown(() => after.close())
    for (const generation of [1, 3]) {
      const item = () => after.viewsAt({ inbox: generation }).inbox.item('ann', 'c')
      t.match(await item(), { unread: 1, at: second(2) })
      await (await after.stores.open('inbox', generation)).apply([
        { kind: 'activity', c: 'c', seq: 3, n: 1 },
        { kind: 'amendment', c: 'c', seq: 3, m: 'm1', text: null },
        { kind: 'follows', c: 'c', user: 'ann', seq: 1, follows: true, at: second(5) },
      ])
      t.match(await item(), { unread: 0, lastMessage: null, at: second(5) })
    }
  })

  t.test('an unreachable server, and a wrong data centre', async t => {
    const options = optionsFor(server)
    const sockets = () => process.getActiveResourcesInfo().filter(kind => kind === 'TCPSocketWrap').length
    const before = sockets()
    await t.rejects(openCassandra({ ...options, contactPoints: ['127.0.0.1:1'] }), {
      code: 'CASSANDRA_UNREACHABLE',
      message: /127\.0\.0\.1:1.*ECONNREFUSED/,
    })
    await t.rejects(openCassandra({ ...options, contactPoints: ['nowhere.invalid:9042'] }), {
      code: 'CASSANDRA_UNREACHABLE',
    })
    await t.rejects(openCassandra({ ...options, dataCenter: 'nowhere' }), {
      code: 'CASSANDRA_DATACENTER',
      message: /datacenter1/,
    })
    for (let look = 0; look < 100 && sockets() > before; look++) await sleep(20)
    t.equal(sockets(), before, 'repeated attempts leave no connection behind')
  })

  t.test('two workers create a generation concurrently, and dropping removes it', async t => {
    const options = await freshKeyspace(t)
    if (options === undefined) return
    const workers = await Promise.all([openCassandra(options), openCassandra(options)])
    t.teardown(() => Promise.all(workers.map(({ close }) => close())))
    const [one, other] = workers
    if (one === undefined || other === undefined) return
    const [first, second] = (await Promise.all(workers.map(({ stores }) => stores.open('roster', 7)))) as [
      RosterStore,
      RosterStore,
    ]
    await Promise.all([
      first.apply([{ c: 'c', user: 'ann', seq: 1, role: 'owner' }]),
      second.apply([{ c: 'c', user: 'bob', seq: 2, role: 'member' }]),
    ])
    const members = async (generation: number) =>
      (await other.viewsAt({ roster: generation }).roster.members('c', { limit: 9 })).members
    t.same(await members(7), [
      { user: 'ann', role: 'owner' },
      { user: 'bob', role: 'member' },
    ])
    t.same(await members(1), [])
    const checkpoint: Checkpoint = {
      projection: 'roster',
      generation: 7,
      version: 1,
      stream: 'CONV_0',
      streamSeq: 4,
      deadLetters: 0,
    }
    await one.stores.checkpoints.save([checkpoint], 0)
    await one.stores.drop('roster', 7)
    t.same(await one.stores.checkpoints.load(), [])
    await t.rejects(members(7), { code: 'UNAVAILABLE' })
    // A connection that knew the table before re-creates it too.
    await other.stores.open('roster', 7)
    t.same(await members(7), [])
    await first.apply([{ c: 'c', user: 'cyd', seq: 1, role: 'owner' }])
    t.same(await members(7), [{ user: 'cyd', role: 'owner' }])
    await first.clear()
    await first.apply([{ c: 'c', user: 'dan', seq: 1, role: 'owner' }])
    t.same(await members(7), [{ user: 'dan', role: 'owner' }], 'cleared rows can be written again')
  })
}
