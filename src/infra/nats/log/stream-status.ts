import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { auditSubject, Family } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { accountStorage } from './log-storage.ts'
import { type AnyDefinition, differingFields } from './stream-differences.ts'
import {
  type Forecast,
  forecastOf,
  type GrowingStorage,
  growthOf,
  type StreamGrowth,
} from './stream-growth.ts'
import { actualDefinitions, infoOf, openManager, withActualName } from './streams.ts'

/** One server's replica of a stream, as the stream's leader reports it. */
export interface CopyStatus {
  readonly server: string
  /** `behind`: connected, and not yet complete. `away`: the leader has no contact with it. */
  readonly state: 'current' | 'behind' | 'away'
  /** Time since the leader last received from it, or since the leader's election, ms. */
  readonly silentMs: number
  /** Entries of the stream's Raft log that the replica lacks. */
  readonly lag: number
}

export interface StreamStatus {
  readonly stream: string
  readonly messages: number
  readonly bytes: number
  readonly subjects: number
  readonly first: number
  readonly last: number
  /** Messages that a stream of the log, or that of audit records, has stored and lacks now. */
  readonly missing: number
  readonly consumers: number
  readonly replicas: number
  /** Server name of the leader; undefined on a single server, and while there is no leader. */
  readonly leader: string | undefined
  /** Whether the stream accepts events: it has a leader, or its single server is up. */
  readonly isLed: boolean
  /** The leader's replica first. Empty on a single server, and while no server answers for the stream. */
  readonly copies: readonly CopyStatus[]
  /** Settings that differ from the definition; `missing` when there is no such stream. */
  readonly drift: readonly string[]
  /** Messages per second in the last minute. Absent when no replica answers. */
  readonly rate?: number
  /** The limit that the stream reaches first. Absent when it grows towards none. */
  readonly forecast?: Forecast
}

/**
 * Silence after which a leader no longer counts a replica as current, ms: `lostQuorumInterval` of nats-server. The
 * server reports `offline` only for replicas that left.
 */
const lostAfterMs = 10_000

const copiesOf = ({ cluster }: StreamInfo): readonly CopyStatus[] => {
  const led: CopyStatus[] =
    cluster?.leader === undefined || cluster.leader === ''
      ? []
      : [{ server: cluster.leader, state: 'current', silentMs: 0, lag: 0 }]
  const since = (cluster as { leader_since?: string } | undefined)?.leader_since
  const ledForMs = since === undefined ? 0 : Math.max(0, Date.now() - Date.parse(since))
  const others = (cluster?.replicas ?? []).map(({ name, current, offline, active, lag = 0 }): CopyStatus => {
    // 0: the leader has not received from this replica since its election.
    const wasNeverActive = !current && active === 0
    const silentMs = wasNeverActive ? ledForMs : Math.round(active / 1e6)
    const isAway = offline === true || wasNeverActive || (!current && silentMs >= lostAfterMs)
    return { server: name, state: isAway ? 'away' : current ? 'current' : 'behind', silentMs, lag }
  })
  return [...led, ...others]
}

/**
 * Returns undefined when there is no such stream; null when no server answers for it: no leader, or its only server is
 * away.
 */
const answerFor = async (
  manager: JetStreamManager,
  stream: string,
): Promise<StreamInfo | undefined | null> => {
  try {
    return await infoOf(manager, stream)
  } catch (error) {
    if (error instanceof TimeoutError) return null
    throw error
  }
}

/**
 * Whether a stream holds events or audit records. The other streams drop messages as they are defined to. Only streams
 * of the log have mirrors.
 */
const keepsAll = ({ subjects = [], mirror }: AnyDefinition): boolean =>
  mirror !== undefined ||
  subjects.some(
    subject =>
      subject === auditSubject || Object.values(Family).some(family => subject.startsWith(`${family}.`)),
  )

/**
 * Returns the number of messages that a stream has stored and lacks now. JetStream never reuses the sequence of a
 * removed message.
 */
export const missingIn = ({ state, config }: Pick<StreamInfo, 'state' | 'config'>): number =>
  state.last_seq - ((config.first_seq ?? 1) - 1) - state.messages

interface Answered {
  /** Under the actual name of the stream. */
  readonly definition: AnyDefinition
  readonly answer: StreamInfo | undefined | null
  readonly growth: StreamGrowth | undefined
}

const askFor = async (
  connection: NatsConnection,
  manager: JetStreamManager,
  defined: AnyDefinition,
  isMeasured: (stream: string) => boolean,
): Promise<Answered> => {
  const definition = await withActualName(manager, defined).catch(() => defined)
  const answer = await answerFor(manager, definition.name)
  const growth = answer && isMeasured(definition.name) ? await growthOf(connection, answer) : undefined
  return { definition, answer, growth }
}

const statusOf = (
  { definition, answer, growth }: Answered,
  storage: GrowingStorage | undefined,
): StreamStatus => {
  const info = answer ?? undefined
  const forecast = info && growth && forecastOf(info, growth, storage)
  return {
    stream: definition.name,
    messages: info?.state.messages ?? 0,
    bytes: info?.state.bytes ?? 0,
    subjects: info?.state.num_subjects ?? 0,
    first: info?.state.first_seq ?? 0,
    last: info?.state.last_seq ?? 0,
    missing: info !== undefined && keepsAll(definition) ? missingIn(info) : 0,
    consumers: info?.state.consumer_count ?? 0,
    replicas: info?.config.num_replicas ?? 0,
    leader: info?.cluster?.leader || undefined,
    isLed: info !== undefined && (info.cluster === undefined || !!info.cluster.leader),
    copies: info === undefined ? [] : copiesOf(info),
    drift:
      answer === null ? [] : answer === undefined ? ['missing'] : differingFields(answer.config, definition),
    ...(growth === undefined ? {} : { rate: growth.perSecond }),
    ...(forecast === undefined ? {} : { forecast }),
  }
}

/**
 * Returns the status of the defined streams, found by their subjects. `isMeasured`: whether the rate and the forecast
 * of a stream are read. Default: those of all streams.
 */
export const streamsStatus = async (
  nats: Pick<Nats, 'connection'>,
  definitions: readonly AnyDefinition[],
  isMeasured: (stream: string) => boolean = () => true,
): Promise<readonly StreamStatus[]> => {
  const { connection } = nats
  const manager = await openManager(connection)
  const actual = await actualDefinitions(manager, definitions)
  const [account, answered] = await Promise.all([
    accountStorage(nats),
    Promise.all(actual.map(definition => askFor(connection, manager, definition, isMeasured))),
  ])
  // Each replica of a stream takes storage of the account.
  const bytesPerDay = answered.reduce(
    (sum, { answer, growth }) => sum + (growth?.bytesPerDay ?? 0) * (answer?.config.num_replicas ?? 1),
    0,
  )
  const storage = account && { account, bytesPerDay }
  return answered.map(one => statusOf(one, storage))
}
