/** A process that projects a history in small batches until it is killed: `killed-writer.ts <database> <seed>`. */
import { openSqliteStores } from '../../../src/infra/sqlite/index.ts'
import { ProjectionRunner } from '../../../src/projections/index.ts'
import { MemorySource } from '../../projections/memory-source.ts'
import { quiet } from '../../projections/run-to-end.ts'
import { longHistory } from './long-history.ts'

const [path = '', seed = ''] = process.argv.slice(2)
const stores = openSqliteStores(path)
const runner = new ProjectionRunner({
  source: new MemorySource(longHistory(Number(seed)), [1, 3]),
  stores,
  log: quiet,
})
await runner.start()
process.send?.('running')
