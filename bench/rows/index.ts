import type { Row } from '../row.ts'
import { appendRow } from './append.ts'
import { cassandraRow } from './cassandra.ts'
import { catchUpRow } from './catch-up.ts'
import { coldConversationRow } from './cold-conversation.ts'
import { elasticsearchRow } from './elasticsearch.ts'
import { fanOutRow } from './fan-out.ts'
import { projectionsRow } from './projections.ts'
import { rebuildRow } from './rebuild.ts'
import { replayRow } from './replay.ts'
import { latencyRow, sendsRow } from './sends.ts'
import { socketMemoryRow } from './socket-memory.ts'
import { startRow } from './start.ts'

/** In the order of the table. */
export const rows: readonly Row[] = [
  appendRow,
  sendsRow,
  latencyRow,
  fanOutRow,
  socketMemoryRow,
  projectionsRow,
  cassandraRow,
  elasticsearchRow,
  catchUpRow,
  rebuildRow,
  replayRow,
  coldConversationRow,
  startRow,
]
