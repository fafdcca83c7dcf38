import type { StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type AggregateRef, Family, partitionCount, partitionOf } from '../../../events/index.ts'
import { askJetStream } from '../client/ask-jetstream.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'

/** Which streams hold the log, and which of them an aggregate. */
export interface LogLayout {
  /** Names, in order of family and bucket. */
  readonly streams: readonly string[]
  streamOf(aggregate: AggregateRef): string
}

/** Stream names by bucket, of one family. */
const streamsByPartition = (infos: readonly StreamInfo[], family: Family): string[] => {
  const byPartition = new Array<string | undefined>(partitionCount)
  for (const { config } of infos)
    for (const subject of config.subjects ?? []) {
      if (!subject.startsWith(`${family}.`)) continue
      const bucket = subject.split('.')[1]
      if (bucket === '*' || bucket === '>') byPartition.fill(config.name)
      else byPartition[Number(bucket)] = config.name
    }
  return Array.from(byPartition, (name, bucket) => {
    if (name !== undefined) return name
    throw new NatsError(
      NatsProblem.streams,
      `no stream takes ${family}.${bucket}.*: apply the definitions first (confab streams apply)`,
    )
  })
}

/**
 * Finds the streams by the subjects that they take, not by name: a promoted mirror has a name of its own. Throws NatsError where a bucket has none.
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
  return {
    streams: [...new Set([...byFamily.conv, ...byFamily.user])],
    streamOf: ({ family, id }) => byFamily[family][partitionOf(id)] as string,
  }
}
