import type { Row } from '../row.ts'
import { appendRow } from './append.ts'
import { fanOutRow } from './fan-out.ts'
import { projectionsRow } from './projections.ts'
import { latencyRow, sendsRow } from './sends.ts'
import { socketMemoryRow } from './socket-memory.ts'

/** In the order of the table. */
export const rows: readonly Row[] = [
  appendRow,
  sendsRow,
  latencyRow,
  fanOutRow,
  socketMemoryRow,
  projectionsRow,
]
