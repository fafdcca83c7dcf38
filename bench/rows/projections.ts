import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { discoverLog, NatsEventSource } from '../../src/infra/nats/index.ts'
import { openSqliteStores } from '../../src/infra/sqlite/index.ts'
import { ProjectionRunner } from '../../src/projections/index.ts'
import { makeGroups } from '../harness/events.ts'
import { temporaryFolder } from '../harness/folders.ts'
import { startNats } from '../harness/nats.ts'
import { rawAppend } from '../limits/raw-append.ts'
import { insertRows, readRows, type TableRows } from '../limits/raw-rows.ts'
import type { Row, Sample } from '../row.ts'

const groups = 500
const members = 20

const log = {
  info: () => {},
  warn: (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
}

export const projectionsRow: Row = {
  name: 'projections',
  figures: [
    { path: 'projections, all five views', unit: 'events/s', target: { rule: 'ratio at least', value: 0.5 } },
  ],
  prepare: async ({ quick, tell, defer }) => {
    const nats = await startNats()
    defer(nats.stop)
    const own = await nats.connect()
    const subjects = makeGroups(groups, members, quick ? 15_000 : 40_000)
    const events = subjects.reduce((sum, { messages }) => sum + messages.length, 0)
    await rawAppend(own.connection, subjects)
    const source = new NatsEventSource(own, await discoverLog(own.connection))
    defer(() => source.close())
    let rows: TableRows[] | undefined

    const projectAll = async (path: string): Promise<Sample> => {
      const stores = openSqliteStores(path)
      const runner = new ProjectionRunner({ source, stores, log })
      const startedAt = performance.now()
      await runner.start()
      const streams = () => runner.status().flatMap(projection => projection.streams)
      while (streams().some(({ position, head }) => position < head)) await wait(2)
      const took = performance.now() - startedAt
      if (streams().some(({ deadLetters }) => deadLetters > 0)) throw new Error('there are dead letters')
      await runner.stop()
      await stores.close()
      return [(events * 1000) / took]
    }

    return {
      ours: async () => {
        const folder = temporaryFolder()
        const path = join(folder.path, 'views.db')
        const sample = await projectAll(path)
        if (rows === undefined) {
          rows = readRows(path)
          tell(`${rows.reduce((sum, table) => sum + table.rows.length, 0)} rows of ${events} events`)
        }
        folder.remove()
        return sample
      },
      limit: async () => {
        const folder = temporaryFolder()
        const took = insertRows(join(folder.path, 'views.db'), rows ?? [])
        folder.remove()
        return [(events * 1000) / took]
      },
    }
  },
}
