import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, types } from 'cassandra-driver'
import fc from 'fast-check'
import t from 'tap'
import { connectDriver } from '../../../src/infra/cassandra/database.ts'
import { openCassandra } from '../../../src/infra/cassandra/index.ts'
import { openFeeds, ProjectionRunner } from '../../../src/projections/index.ts'
import { historyOf, stepsOf } from '../../projections/history.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { quiet, runToEnd } from '../../projections/run-to-end.ts'
import { freshKeyspace } from './keyspace.ts'

/** Returns rows and tombstones of a full table read, from the server's trace. */
const scan = async (client: Client, table: string): Promise<{ rows: number; tombstones: number }> => {
  const { info } = await client.execute(`SELECT * FROM ${table}`, [], { prepare: false, traceQuery: true })
  if (info.traceId === undefined) throw new Error('no trace')
  for (let tries = 0; ; tries++) {
    await sleep(200)
    const { rows } = await client.execute(
      'SELECT activity FROM system_traces.events WHERE session_id = ?',
      [info.traceId],
      { consistency: types.consistencies.one },
    )
    const found = rows.flatMap(({ activity }) => {
      const read = /Read (\d+) live rows and (\d+) tombstone/.exec(String(activity))
      return read === null ? [] : [{ rows: Number(read[1]), tombstones: Number(read[2]) }]
    })
    if (found.length > 0)
      return {
        rows: found.reduce((sum, { rows }) => sum + rows, 0),
        tombstones: found.reduce((sum, { tombstones }) => sum + tombstones, 0),
      }
    if (tries > 50) throw new Error(`no trace of ${table}`)
  }
}

const options = await freshKeyspace(t)
if (options !== undefined) {
  const { stores, close } = await openCassandra(options)
  const client = await connectDriver(options, options.keyspace)
  t.teardown(async () => {
    await client.shutdown()
    await close()
  })

  t.test('after leaves, edits and deletions in small batches no view has a tombstone', async t => {
    const [steps = []] = fc.sample(stepsOf(800, 800), { numRuns: 1, seed: 6 })
    const source = new MemorySource(historyOf(steps))
    const feeds = await openFeeds(stores)
    await runToEnd(new ProjectionRunner({ source, stores, log: quiet, feeds, batch: 4 }), source)
    for (const table of [
      'timeline',
      'timeline_message',
      'timeline_head',
      'inbox_conversation',
      'inbox_message',
      'inbox_amendment',
      'inbox_entry',
      'read_state',
      'roster',
      'roster_user',
    ]) {
      const { rows, tombstones } = await scan(client, table)
      t.ok(rows > 0, `${rows} rows of ${table}`)
      t.equal(tombstones, 0)
    }
    await client.execute(`DELETE FROM inbox_entry WHERE user = 'ann' AND c = 'c-0'`)
    t.ok((await scan(client, 'inbox_entry')).tombstones > 0, 'one would be seen')
  })
}
