import { isDeepStrictEqual } from 'node:util'
import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import { type NatsConnection, TimeoutError } from '@nats-io/transport-node'
import { askJetStream } from '../client/ask-jetstream.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { supportedNats } from '../client/server-versions.ts'
import type { StreamDefinition } from './stream-definitions.ts'

export { type LoadStreamsOptions, loadStreams, type StreamDefinition } from './stream-definitions.ts'

/** What came of one definition. */
export interface Applied {
  readonly stream: string
  readonly outcome: 'created' | 'updated' | 'unchanged'
  /** Names of the settings that were changed. */
  readonly changed: readonly string[]
}

const streamNotFound = 10059
const streamNameInUse = 10058

/** Throws NatsError for a server that is too old, naming its version and the one needed. */
export const checkApiLevel = (level: number | undefined, version: string): void => {
  if ((level ?? 0) < supportedNats.apiLevel)
    throw new NatsError(
      NatsProblem.tooOld,
      `nats-server ${version} has JetStream API level ${level ?? 'none'}; confab needs level ${supportedNats.apiLevel}: use nats-server ${supportedNats.line} or later`,
    )
}

/** JetStream's management, of a server that is new enough. Throws NatsError. */
export const openManager = async (connection: NatsConnection): Promise<JetStreamManager> => {
  const { api } = await askJetStream(connection, manager => manager.getAccountInfo())
  checkApiLevel(api.level, connection.info?.version ?? 'of unknown version')
  return jetstreamManager(connection, { checkAPI: false, timeout: 10_000 })
}

const infoOf = async (manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> => {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === streamNotFound) return undefined
    throw error
  }
}

/** Whether what is wanted is there; the server adds settings and metadata of its own. */
const holds = (actual: unknown, wanted: unknown): boolean =>
  typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted)
    ? Object.entries(wanted).every(([key, value]) =>
        holds((actual as Record<string, unknown> | undefined)?.[key], value),
      )
    : isDeepStrictEqual(actual, wanted) || (actual === undefined && (wanted === false || wanted === 0))

const differences = (actual: StreamConfig, wanted: StreamDefinition): string[] =>
  Object.entries(wanted)
    .filter(([key, value]) => !holds(actual[key as keyof StreamConfig], value))
    .map(([key]) => key)

const applyOne = async (manager: JetStreamManager, wanted: StreamDefinition): Promise<Applied> => {
  const stream = wanted.name
  const before = await infoOf(manager, stream)
  if (before === undefined)
    try {
      await manager.streams.add(wanted)
      return { stream, outcome: 'created', changed: [] }
    } catch (error) {
      // Somebody else was quicker: what stands there now is compared like any other.
      if (error instanceof JetStreamApiError && error.code === streamNameInUse)
        return applyOne(manager, wanted)
      throw error
    }
  const changed = differences(before.config, wanted)
  if (changed.length === 0) return { stream, outcome: 'unchanged', changed }
  if (changed.includes('subjects') && before.state.messages > 0)
    throw new NatsError(
      NatsProblem.streams,
      `${stream} holds events of ${before.config.subjects.length} subject filters, and would have other ones: events must be moved first, apply does not do that`,
    )
  await manager.streams.update(stream, {
    ...before.config,
    ...wanted,
    metadata: { ...before.config.metadata, ...wanted.metadata },
  })
  return { stream, outcome: 'updated', changed }
}

/**
 * Makes the streams as they are defined: creates, updates or leaves alone. May be run at any time and by several at once; deletes nothing and moves no
 * events. Throws NatsError.
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

/** A server's copy of a stream, as its leader sees it. */
export interface CopyStatus {
  readonly server: string
  /** `behind`: it takes part and has not all yet. `away`: the leader hears nothing of it. */
  readonly state: 'current' | 'behind' | 'away'
  /** Since the leader last heard of it, or since it leads, ms. */
  readonly silentMs: number
  /** Entries of the stream's Raft log that it has not. */
  readonly lag: number
}

export interface StreamStatus {
  readonly stream: string
  readonly messages: number
  readonly bytes: number
  readonly subjects: number
  readonly first: number
  readonly last: number
  readonly consumers: number
  readonly replicas: number
  /** Server name of the leader; undefined on a single server, and where there is none. */
  readonly leader: string | undefined
  /** Whether the stream takes events: of several copies most take part, of one its server is there. */
  readonly isLed: boolean
  /** The leader's copy first. None of a single server, and where nobody answers for the stream. */
  readonly copies: readonly CopyStatus[]
  /** Settings that are not as defined; `missing` when the stream is not there. */
  readonly drift: readonly string[]
}

/** A leader counts nobody as current that it has not heard of for this long, ms: nats-server's `lostQuorumInterval`. It says `offline` of those alone that took their leave. */
const lostAfterMs = 10_000

const copiesOf = ({ cluster }: StreamInfo): readonly CopyStatus[] => {
  const led: CopyStatus[] =
    cluster?.leader === undefined || cluster.leader === ''
      ? []
      : [{ server: cluster.leader, state: 'current', silentMs: 0, lag: 0 }]
  const since = (cluster as { leader_since?: string } | undefined)?.leader_since
  const ledForMs = since === undefined ? 0 : Math.max(0, Date.now() - Date.parse(since))
  const others = (cluster?.replicas ?? []).map(({ name, current, offline, active, lag = 0 }): CopyStatus => {
    // 0 of one that the leader has not heard of since it leads.
    const isUnheard = !current && active === 0
    const silentMs = isUnheard ? ledForMs : Math.round(active / 1e6)
    const isAway = offline === true || isUnheard || (!current && silentMs >= lostAfterMs)
    return { server: name, state: isAway ? 'away' : current ? 'current' : 'behind', silentMs, lag }
  })
  return [...led, ...others]
}

/** Undefined when it is not there; null when nobody answers for it: its only copy is with a server that is away, or it has no leader. */
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

/** How the defined streams are. */
export const streamsStatus = async (
  connection: NatsConnection,
  definitions: readonly StreamDefinition[],
): Promise<readonly StreamStatus[]> => {
  const manager = await openManager(connection)
  return Promise.all(
    definitions.map(async definition => {
      const answer = await answerFor(manager, definition.name)
      const info = answer ?? undefined
      return {
        stream: definition.name,
        messages: info?.state.messages ?? 0,
        bytes: info?.state.bytes ?? 0,
        subjects: info?.state.num_subjects ?? 0,
        first: info?.state.first_seq ?? 0,
        last: info?.state.last_seq ?? 0,
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
