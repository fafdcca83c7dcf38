import { isDeepStrictEqual } from 'node:util'
import {
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { askJetStream } from './ask-jetstream.ts'
import { NatsError, NatsProblem } from './nats-error.ts'
import type { StreamDefinition } from './stream-definitions.ts'

export { type LoadStreamsOptions, loadStreams, type StreamDefinition } from './stream-definitions.ts'

/** What came of one definition. */
export interface Applied {
  readonly stream: string
  readonly outcome: 'created' | 'updated' | 'unchanged'
  /** Names of the settings that were changed. */
  readonly changed: readonly string[]
}

/** The JetStream API level of nats-server 2.15, which has the one-fsync-a-batch appends that clusters' durability counts on. */
const neededApiLevel = 5

const streamNotFound = 10059
const streamNameInUse = 10058

/** Throws NatsError for a server that is too old, naming its version and the one needed. */
export const checkApiLevel = (level: number | undefined, version: string): void => {
  if ((level ?? 0) < neededApiLevel)
    throw new NatsError(
      NatsProblem.tooOld,
      `nats-server ${version} has JetStream API level ${level ?? 'none'}; confab needs level ${neededApiLevel}: nats-server 2.15 or later`,
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

export interface StreamStatus {
  readonly stream: string
  readonly messages: number
  readonly bytes: number
  readonly subjects: number
  readonly first: number
  readonly last: number
  readonly consumers: number
  readonly replicas: number
  /** Server name of the leader; undefined on a single server. */
  readonly leader: string | undefined
  /** Settings that are not as defined; `missing` when the stream is not there. */
  readonly drift: readonly string[]
}

/** How the defined streams are. */
export const streamsStatus = async (
  connection: NatsConnection,
  definitions: readonly StreamDefinition[],
): Promise<readonly StreamStatus[]> => {
  const manager = await openManager(connection)
  return Promise.all(
    definitions.map(async definition => {
      const info = await infoOf(manager, definition.name)
      return {
        stream: definition.name,
        messages: info?.state.messages ?? 0,
        bytes: info?.state.bytes ?? 0,
        subjects: info?.state.num_subjects ?? 0,
        first: info?.state.first_seq ?? 0,
        last: info?.state.last_seq ?? 0,
        consumers: info?.state.consumer_count ?? 0,
        replicas: info?.config.num_replicas ?? 0,
        leader: info?.cluster?.leader,
        drift: info === undefined ? ['missing'] : differences(info.config, definition),
      }
    }),
  )
}
