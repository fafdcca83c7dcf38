import t from 'tap'
import { testCheckpointStore } from '../../contracts/checkpoint-store.ts'
import { testSearchIndex } from '../../contracts/search-index.ts'
import { service } from '../../harness/service.ts'
import { openEmpty } from './own-index.ts'

const found = await service(t, 'elasticsearch')
if (found !== undefined) {
  const url = `http://${found.host}:${found.port}`
  t.test('search', async t => testSearchIndex(t, t => openEmpty(t, url)))
  t.test('checkpoints', async t => testCheckpointStore(t, t => openEmpty(t, url), false))
}
