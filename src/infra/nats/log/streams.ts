import { isDeepStrictEqual } from 'node:util'
import {
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { auditSubject, Family } from '../../../events/index.ts'
import { ApiError, apiCodeOf, askJetStream, streamsTaking } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { supportedNats } from '../client/server-versions.ts'
import { type StreamDefinition, safeguards } from './stream-definitions.ts'

export { type LoadStreamsOptions, loadStreams, type StreamDefinition } from './stream-definitions.ts'

/** The outcome of applying one definition. */
export interface Applied {
  readonly stream: string
  readonly outcome: 'created' | 'updated' | 'unchanged'
  /** Names of the changed settings. */
  readonly changed: readonly string[]
  /** Names of the settings that differ from the definition, and that JetStream does not change in a stream. */
  readonly kept: readonly string[]
}

/** Throws NatsError for a server that is too old, naming its version and the one needed. */
export const checkApiLevel = (level: number | undefined, version: string): void => {
  if ((level ?? 0) < supportedNats.apiLevel)
    throw new NatsError(
      NatsProblem.tooOld,
      `nats-server ${version} has JetStream API level ${level ?? 'none'}; confab needs level ${supportedNats.apiLevel}: use nats-server ${supportedNats.line} or later`,
    )
}

/** Opens JetStream's management API. Throws NatsError when the server is too old. */
export const openManager = async (connection: NatsConnection): Promise<JetStreamManager> => {
  const { api } = await askJetStream(connection, manager => manager.getAccountInfo())
  checkApiLevel(api.level, connection.info?.version ?? 'of unknown version')
  return jetstreamManager(connection, { checkAPI: false, timeout: 10_000 })
}

const infoOf = async (manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> => {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (apiCodeOf(error) === ApiError.streamNotFound) return undefined
    throw error
  }
}

/** Whether a stream has a defined value. The server adds settings and metadata of its own. */
const holds = (actual: unknown, defined: unknown): boolean =>
  typeof defined === 'object' && defined !== null && !Array.isArray(defined)
    ? Object.entries(defined).every(([key, value]) =>
        holds((actual as Record<string, unknown> | undefined)?.[key], value),
      )
    : isDeepStrictEqual(actual, defined) || (actual === undefined && (defined === false || defined === 0))

/** Settings that JetStream never unsets. A stream that has them although its definition does not is only safer. */
const safer: ReadonlySet<string> = new Set(['deny_delete', 'deny_purge'])
/** Settings that JetStream never changes back, and with which a stream still works. */
const unchangeable: ReadonlySet<string> = new Set(['allow_msg_ttl', 'persist_mode'])
/** Settings that JetStream leaves out of a stream's status while they have their default. */
const defaults: Readonly<Record<string, unknown>> = { ...safeguards }

const differences = (actual: StreamConfig, defined: StreamDefinition): string[] =>
  Object.entries(defined)
    .filter(([key, value]) => {
      const its = actual[key as keyof StreamConfig] ?? defaults[key]
      return !holds(its, value) && !(safer.has(key) && its === true)
    })
    .map(([key]) => key)

/** Returns a stream's settings as an update has to have them. */
const updated = (actual: StreamConfig, defined: StreamDefinition, kept: readonly string[]): StreamConfig => {
  const config = { ...actual, ...defined, metadata: { ...actual.metadata, ...defined.metadata } }
  const stays = [...kept, ...[...safer].filter(key => actual[key as keyof StreamConfig] === true)]
  return Object.assign(config, Object.fromEntries(stays.map(key => [key, actual[key as keyof StreamConfig]])))
}

/**
 * Returns the definition under the name of the stream that takes its subjects already: a promoted mirror has a name of
 * its own. Returns it as it is when no stream takes them, or several do.
 */
const withActualName = async (
  manager: JetStreamManager,
  definition: StreamDefinition,
): Promise<StreamDefinition> => {
  const [name, ...others] = await streamsTaking(manager, definition.subjects[0] ?? '')
  return name === undefined || others.length > 0 ? definition : { ...definition, name }
}

const applyOne = async (manager: JetStreamManager, definition: StreamDefinition): Promise<Applied> => {
  const defined = await withActualName(manager, definition)
  const stream = defined.name
  const before = await infoOf(manager, stream)
  if (before === undefined)
    try {
      await manager.streams.add(defined)
      return { stream, outcome: 'created', changed: [], kept: [] }
    } catch (error) {
      // Another process created the stream first.
      if (apiCodeOf(error) === ApiError.streamNameInUse) return applyOne(manager, definition)
      throw error
    }
  const differing = differences(before.config, defined)
  const kept = differing.filter(key => unchangeable.has(key))
  const changed = differing.filter(key => !unchangeable.has(key))
  if (changed.length === 0) return { stream, outcome: 'unchanged', changed, kept }
  if (changed.includes('subjects') && before.state.messages > 0)
    throw new NatsError(
      NatsProblem.streams,
      `${stream} holds events, and its definition has other subjects: the events must be moved first, which apply does not do`,
    )
  try {
    await manager.streams.update(stream, updated(before.config, defined, kept))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new NatsError(
      NatsProblem.streams,
      `stream ${stream}: ${changed.join(', ')} cannot be set as defined: ${why}`,
      error,
    )
  }
  return { stream, outcome: 'updated', changed, kept }
}

/**
 * Creates or updates the streams as they are defined. Finds existing streams by their subjects. Several processes may
 * run it at any time; it deletes nothing and moves no events. Throws NatsError.
 */
export const applyStreams = async (
  connection: NatsConnection,
  definitions: readonly StreamDefinition[],
): Promise<readonly Applied[]> => {
  const manager = await openManager(connection)
  const applied: Applied[] = []
  for (const definition of definitions)
    try {
      applied.push(await applyOne(manager, definition))
    } catch (error) {
      if (NatsError.is(error)) throw error
      throw new NatsError(
        NatsProblem.streams,
        `stream ${definition.name}: ${(error as Error).message}`,
        error,
      )
    }
  return applied
}

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

/** Whether a stream holds events or audit records. The other streams drop messages as they are defined to. */
const keepsAll = ({ subjects }: StreamDefinition): boolean =>
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

/** Returns the status of the defined streams, found by their subjects. */
export const streamsStatus = async (
  connection: NatsConnection,
  definitions: readonly StreamDefinition[],
): Promise<readonly StreamStatus[]> => {
  const manager = await openManager(connection)
  return Promise.all(
    definitions.map(async one => {
      const definition = await withActualName(manager, one).catch(() => one)
      const answer = await answerFor(manager, definition.name)
      const info = answer ?? undefined
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
          answer === null ? [] : answer === undefined ? ['missing'] : differences(answer.config, definition),
      }
    }),
  )
}
