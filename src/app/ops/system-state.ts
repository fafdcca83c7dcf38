import type { AuditRecord } from '../../audit/index.ts'
import { parseRecord } from '../../audit/index.ts'
import type { NodeSessions } from '../../edge/ports/session-queries.ts'
import {
  type AuditStream,
  askProjectionStatus,
  countDeadLetters,
  createSessionQueries,
  mayReadState,
  type Nats,
  type StreamDefinition,
  type StreamStatus,
  streamsStatus,
} from '../../infra/nats/index.ts'
import { type ProjectionProgress, progressOf } from './projection-progress.ts'

/** A stream of the system. */
export interface StreamRow
  extends Pick<StreamStatus, 'stream' | 'messages' | 'bytes' | 'rate' | 'forecast' | 'isLed'> {
  /** Server name of the leader. Absent on a single server, and while there is no leader. */
  readonly leader?: string
}

/** An edge node that answered. */
export interface EdgeRow {
  readonly process: string
  /** Connected sessions. */
  readonly sockets: number
  /** Events delivered to sockets a second. Absent when the node does not report it. */
  readonly rate?: number
}

/** An action that the audit stream shows as started and not as ended. */
export interface OperationRow {
  readonly operation: string
  /** The object of the action when it is a stream. */
  readonly stream?: string
  readonly step: string
  /** ISO 8601, UTC. */
  readonly at: string
}

/** The state of a system for operators. A part that could not be read is absent. */
export interface SystemState {
  /** ISO 8601, UTC. */
  readonly at: string
  /** Absent while the system has one region. */
  readonly regions?: readonly object[]
  readonly streams?: readonly StreamRow[]
  readonly edges?: readonly EdgeRow[]
  readonly projections?: readonly ProjectionProgress[]
  /** Number of dead letters by projection. */
  readonly deadLetters?: Readonly<Record<string, number>>
  readonly operations?: readonly OperationRow[]
}

export interface StateSources {
  readonly nats: Nats
  readonly definitions: readonly StreamDefinition[]
  readonly audit: Pick<AuditStream, 'last' | 'read'>
}

/** Audit records that are searched for running operations. */
const searchedRecords = 500
/** Age after which an operation without an end counts as abandoned, ms. */
const abandonedMs = 86_400_000

const streamRow = ({ stream, messages, bytes, rate, leader, forecast, isLed }: StreamStatus): StreamRow => ({
  stream,
  messages,
  bytes,
  ...(rate === undefined ? {} : { rate }),
  ...(leader === undefined ? {} : { leader }),
  ...(forecast === undefined ? {} : { forecast }),
  isLed,
})

const edgeRow = ({ node, connected, rate }: NodeSessions): EdgeRow => ({
  process: node,
  sockets: connected,
  ...(rate === undefined ? {} : { rate }),
})

/** Returns the operations among audit records that have started and not ended, oldest first. */
export const runningIn = (records: readonly AuditRecord[], now: number): OperationRow[] => {
  const ended = new Set(records.filter(({ outcome }) => outcome !== 'started').map(({ request }) => request))
  return records
    .filter(
      ({ outcome, request, at }) =>
        outcome === 'started' && !ended.has(request) && now - Date.parse(at) < abandonedMs,
    )
    .map(({ action, target, at }) => ({
      operation: action,
      ...(target?.startsWith('stream:') ? { stream: target.slice('stream:'.length) } : {}),
      step: 'started',
      at,
    }))
}

const readOperations = async ({ audit }: StateSources): Promise<OperationRow[]> => {
  const last = await audit.last()
  const records: AuditRecord[] = []
  for await (const page of audit.read(Math.max(1, last - searchedRecords + 1), last))
    records.push(...page.flatMap(({ data }) => parseRecord(data) ?? []))
  return runningIn(records, Date.now())
}

/**
 * Reads the state of a system. A part that does not answer, or that this process may not read, is absent. Never
 * rejects. Takes about half a second: answers of unknown processes end with a silence.
 */
export const readSystemState = async (sources: StateSources): Promise<SystemState> => {
  const { nats, definitions } = sources
  const may = await mayReadState(nats)
  const part = async <T>(isAllowed: boolean, read: () => Promise<T>): Promise<T | undefined> =>
    isAllowed ? await read().catch(() => undefined) : undefined
  const [streams, edges, projections, deadLetters, operations] = await Promise.all([
    part(true, async () => (await streamsStatus(nats, definitions, may.measureGrowth)).map(streamRow)),
    part(may.sessions, async () =>
      (await createSessionQueries(nats).ask({ limit: 0 }, 0))
        .map(edgeRow)
        .sort((a, b) => (a.process < b.process ? -1 : 1)),
    ),
    part(may.projections, async () => progressOf(await askProjectionStatus(nats))),
    part(true, () => countDeadLetters(nats)),
    part(may.auditRecords, () => readOperations(sources)),
  ])
  const known = { streams, edges, projections, deadLetters, operations }
  return {
    at: new Date().toISOString(),
    ...(Object.fromEntries(
      Object.entries(known).filter(([, value]) => value !== undefined),
    ) as Partial<SystemState>),
  }
}
