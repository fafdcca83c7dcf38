import type { Row } from '../row.ts'
import { appendRow } from './append.ts'
import { backupRow } from './backup.ts'
import { cassandraRow } from './cassandra.ts'
import { catchUpRow } from './catch-up.ts'
import { coldConversationRow } from './cold-conversation.ts'
import { connectRow } from './edge/connect.ts'
import { edgeFanOutRows } from './edge/fan-out.ts'
import { kneeRow } from './edge/knee.ts'
import { slowClientsRow } from './edge/slow-clients.ts'
import { stormRow } from './edge/storm.ts'
import { elasticsearchRow } from './elasticsearch.ts'
import { fanOutRow } from './fan-out.ts'
import { interestRow } from './interest.ts'
import { peersComingBackRow } from './peers/coming-back.ts'
import { peersMemoryRow } from './peers/idle-memory.ts'
import { peersLatencyRow, peersRoomRow, peersSmallRoomsRow } from './peers/rooms.ts'
import { projectionsRow } from './projections.ts'
import { rebuildRow } from './rebuild.ts'
import { replayRow } from './replay.ts'
import { latencyRow, sendsRow } from './sends.ts'
import { socketMemoryRow } from './socket-memory.ts'
import { startRow } from './start.ts'
import { tlsRow } from './tls.ts'

/** In the order of the table. These run when no name is given. */
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
  backupRow,
  startRow,
]

/** Rows that take long; they run when they or their group are named. */
export const groups: Readonly<Record<string, readonly Row[]>> = {
  edge: [
    ...edgeFanOutRows,
    interestRow,
    socketMemoryRow,
    connectRow,
    tlsRow,
    kneeRow,
    stormRow,
    slowClientsRow,
  ],
  peers: [peersRoomRow, peersSmallRoomsRow, peersLatencyRow, peersMemoryRow, peersComingBackRow],
}
