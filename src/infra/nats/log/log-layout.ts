import type { StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type AggregateRef, Family, partitionCount, partitionOf } from '../../../events/index.ts'
import { askJetStream } from '../client/jetstream-api.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

/** The streams that hold the log, and the partitions that each of them holds. */
export interface LogLayout {
  /**
   * Stream names: those of conversations, then those of users; each family ordered by its streams' lowest partition.
   */
  readonly streams: readonly string[]
  /** The stream that holds an aggregate. */
  streamOf(aggregate: AggregateRef): string
  /** The family that a stream of the log holds. */
  familyOf(stream: string): Family
}

/** Returns the name of the stream that holds each partition of a family. */
const streamsByPartition = (infos: readonly StreamInfo[], family: Family): string[] => {
  const byPartition = new Array<string | undefined>(partitionCount)
  for (const { config } of infos)
    for (const subject of config.subjects ?? []) {
      if (!subject.startsWith(`${family}.`)) continue
      const partition = subject.split('.')[1]
      if (partition === '*' || partition === '>') byPartition.fill(config.name)
      else byPartition[Number(partition)] = config.name
    }
  return Array.from(byPartition, (name, partition) => {
    if (name !== undefined) return name
    throw new NatsError(
      NatsProblem.streams,
      `no stream takes ${family}.${partition}.*: apply the definitions first (confab streams apply)`,
    )
  })
}

/**
 * Finds the streams of the log by the subjects that they take, never by name: a promoted mirror has a name of its own.
 * Throws NatsError when no stream takes a partition, or when one stream takes subjects of both families.
 */
export const discoverLog = async (connection: NatsConnection): Promise<LogLayout> => {
  const infos = await askJetStream(connection, async manager => {
    const listed: StreamInfo[] = []
    for await (const info of manager.streams.list()) listed.push(info)
    return listed
  })
  const byFamily = {
    conv: streamsByPartition(infos, Family.conversation),
    user: streamsByPartition(infos, Family.user),
  }
  const families = new Map<string, Family>(byFamily.conv.map(stream => [stream, Family.conversation]))
  for (const stream of byFamily.user) {
    if (families.get(stream) === Family.conversation)
      throw new NatsError(
        NatsProblem.streams,
        `${stream} takes subjects of both conv and user: each family needs streams of its own`,
      )
    families.set(stream, Family.user)
  }
  return {
    streams: [...families.keys()],
    streamOf: ({ family, id }) => byFamily[family][partitionOf(id)] as string,
    familyOf: stream => {
      const family = families.get(stream)
      if (family === undefined) throw new RangeError(`${stream} is not a stream of the log`)
      return family
    },
  }
}
