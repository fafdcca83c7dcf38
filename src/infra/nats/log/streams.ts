import {
  type JetStreamManager,
  jetstreamManager,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { ApiError, apiCodeOf, askJetStream, streamsTaking } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem, rightsError, violationIn } from '../client/nats-error.ts'
import { supportedNats } from '../client/server-versions.ts'
import { afterMoves } from './moved-partitions.ts'
import { type StreamDefinition, safeguards } from './stream-definitions.ts'
import {
  type AnyDefinition,
  compareStream,
  type StreamChange,
  type StreamDifferences,
  updatedConfig,
} from './stream-differences.ts'

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

/** Returns undefined for a stream that does not exist. */
export const infoOf = async (manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> => {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if (apiCodeOf(error) === ApiError.streamNotFound) return undefined
    throw error
  }
}

/**
 * Returns the definition under the name of the stream that takes its subjects already: a promoted mirror has a name of
 * its own. Returns it as it is when no stream takes them, or several do.
 */
export const withActualName = async <T extends AnyDefinition>(
  manager: JetStreamManager,
  definition: T,
): Promise<T> => {
  const subject = definition.subjects?.[0]
  if (subject === undefined) return definition
  const [name, ...others] = await streamsTaking(manager, subject)
  return name === undefined || others.length > 0 ? definition : { ...definition, name }
}

/** Returns the definitions with the subjects that streams have after partitions moved. */
export const actualDefinitions = async <T extends AnyDefinition>(
  manager: JetStreamManager,
  definitions: readonly T[],
): Promise<T[]> => {
  const infos: StreamInfo[] = []
  for await (const info of manager.streams.list()) infos.push(info)
  return afterMoves(definitions, infos)
}

/** A stream, its definition, and their differences. */
export interface ComparedStream extends StreamDifferences {
  readonly defined: AnyDefinition
  /** Undefined for a stream that does not exist. */
  readonly info: StreamInfo | undefined
}

const compareOne = (manager: JetStreamManager, definition: AnyDefinition): Promise<ComparedStream> =>
  named(definition.name, async () => {
    const defined = await withActualName(manager, definition)
    const info = await infoOf(manager, defined.name)
    return { ...compareStream(info, defined), defined, info }
  })

/** Compares streams with their definitions. Throws NatsError, which names the stream. */
export const compareStreams = (
  manager: JetStreamManager,
  definitions: readonly AnyDefinition[],
): Promise<ComparedStream[]> => Promise.all(definitions.map(definition => compareOne(manager, definition)))

/** Returns what `applyStreams` would change, and what it cannot change, without changing anything. Throws NatsError. */
export const planStreams = async (
  connection: NatsConnection,
  definitions: readonly AnyDefinition[],
): Promise<StreamDifferences> => {
  const manager = await openManager(connection)
  const compared = await compareStreams(manager, await actualDefinitions(manager, definitions))
  return {
    changes: compared.flatMap(({ changes }) => changes),
    kept: compared.flatMap(({ kept, defined }) => kept.map(field => `${field} of ${defined.name}`)),
  }
}

/**
 * Creates the streams that do not exist, in order. `onApplied` receives each. Returns the comparisons of the others,
 * also of those that another process created meanwhile. Throws NatsError, which names the stream.
 */
export const createMissing = async (
  manager: JetStreamManager,
  compared: readonly ComparedStream[],
  onApplied: (applied: Applied) => void,
): Promise<ComparedStream[]> => {
  const existing: ComparedStream[] = []
  for (const one of compared) {
    const { name } = one.defined
    if (one.info !== undefined) existing.push(one)
    else
      await named(name, async () => {
        try {
          await manager.streams.add(one.defined as StreamConfig)
          onApplied({ stream: name, outcome: 'created', changed: [], kept: [] })
        } catch (error) {
          if (apiCodeOf(error) !== ApiError.streamNameInUse) throw error
          existing.push(await compareOne(manager, one.defined))
        }
      })
  }
  return existing
}

/**
 * Updates streams as their comparisons say, in order. `onApplied` receives each stream. Throws NatsError, which names
 * the stream.
 */
export const updateStreams = async (
  manager: JetStreamManager,
  compared: readonly ComparedStream[],
  onApplied: (applied: Applied) => void,
): Promise<void> => {
  for (const { changes, kept, defined, info } of compared) {
    if (info === undefined) continue
    const stream = defined.name
    const changed = changes.map(({ field }) => field)
    if (changed.length > 0)
      try {
        await manager.streams.update(stream, updatedConfig(info.config, defined, kept))
      } catch (error) {
        const refused = violationIn(error)
        if (refused !== undefined) throw rightsError(refused, error)
        const why = error instanceof Error ? error.message : String(error)
        throw new NatsError(
          NatsProblem.streams,
          `stream ${stream}: ${changed.join(', ')} cannot be set as defined: ${why}`,
          error,
        )
      }
    onApplied({ stream, outcome: changed.length === 0 ? 'unchanged' : 'updated', changed, kept })
  }
}

/** Throws NatsError for a change that loses events of a stream that is not named. */
export const refuseLoss = (changes: readonly StreamChange[], allowLoss: ReadonlySet<string>): void => {
  const lost = changes.find(({ stream, destructive }) => destructive && !allowLoss.has(stream))
  if (lost === undefined) return
  const { stream, field } = lost
  throw new NatsError(
    NatsProblem.wouldLoseData,
    field === 'subjects'
      ? `${stream} holds events, and its definition has other subjects: the events must be moved first, which apply does not do`
      : `${stream} holds messages that the defined ${field} would remove: correct the definition, or accept the loss with --allow-loss ${stream}`,
  )
}

/** Runs a request about a stream. Throws NatsError, which names the stream. */
export const named = async <T>(stream: string, request: () => Promise<T>): Promise<T> => {
  try {
    return await request()
  } catch (error) {
    if (NatsError.is(error)) throw error
    const refused = violationIn(error)
    if (refused !== undefined) throw rightsError(refused, error)
    throw new NatsError(NatsProblem.streams, `stream ${stream}: ${(error as Error).message}`, error)
  }
}

export interface ApplyOptions {
  /** Names of the streams that may lose events by an update. Default: none. */
  readonly allowLoss?: ReadonlySet<string> | undefined
  /** Receives each stream when it is as defined, also before a later stream fails. */
  readonly onApplied?: ((applied: Applied) => void) | undefined
}

/**
 * Creates or updates the streams as they are defined. Finds existing streams by their subjects. Several processes may
 * run it at any time; it deletes no streams and moves no events. It creates the missing streams first: creation loses
 * nothing, and the audit stream must exist before a refusal can be recorded. Then, before any update, it refuses
 * updates that lose events of a stream that `allowLoss` does not name. Throws NatsError.
 */
export const applyStreams = async (
  connection: NatsConnection,
  definitions: readonly StreamDefinition[],
  { allowLoss = new Set(), onApplied }: ApplyOptions = {},
): Promise<readonly Applied[]> => {
  const manager = await openManager(connection)
  const done = new Map<string, Applied>()
  const note = (applied: Applied): void => {
    done.set(applied.stream, applied)
    onApplied?.(applied)
  }
  const compared = await compareStreams(manager, await actualDefinitions(manager, definitions))
  const existing = await createMissing(manager, compared, note)
  refuseLoss(
    existing.flatMap(({ changes }) => changes),
    allowLoss,
  )
  await updateStreams(manager, existing, note)
  return compared.flatMap(({ defined }) => done.get(defined.name) ?? [])
}

/** Settings without which a stream may lose events, or without which processes cannot read and write it. */
const essential: ReadonlySet<string> = new Set([
  ...['name', 'subjects', 'republish', 'allow_direct', 'allow_atomic'],
  ...Object.keys(safeguards),
])

/**
 * Checks the streams, for a process that does not own them. Returns the other differences from the definitions, as
 * `description of CONV_0`. Throws NatsError for a stream that does not exist, or that may lose events.
 */
export const checkStreams = async (
  connection: NatsConnection,
  definitions: readonly AnyDefinition[],
): Promise<readonly string[]> => {
  const { changes, kept } = await planStreams(connection, definitions)
  const missing = changes.filter(({ field }) => field === 'name').map(({ stream }) => stream)
  if (missing.length > 0)
    throw new NatsError(
      NatsProblem.streams,
      `${missing.length === 1 ? 'stream' : 'streams'} missing: ${missing.join(', ')}: create with "confab streams apply"`,
    )
  const texts = (all: readonly StreamChange[]) => all.map(({ stream, field }) => `${field} of ${stream}`)
  const unsafe = changes.filter(({ field }) => essential.has(field))
  if (unsafe.length > 0)
    throw new NatsError(
      NatsProblem.streams,
      `${texts(unsafe).join(', ')}: not as defined, so the stream may lose events. "confab streams plan" shows the differences, "confab streams apply" removes them`,
    )
  return [...texts(changes), ...kept]
}
