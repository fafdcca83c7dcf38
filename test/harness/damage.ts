import { jetstreamManager, type StreamConfig } from '@nats-io/jetstream'
import type { AggregateRef } from '../../src/events/index.ts'
import { discoverLog, JetStreamEventLog, type Nats } from '../../src/infra/nats/index.ts'

/** Ways in which the log can lose events of an aggregate, on a real server. */
export const damages = {
  /** A limit is set, and removed again. The last `keep` events of every subject stay. */
  limit: async (nats: Nats, { family }: AggregateRef, keep = 5): Promise<void> => {
    const { manager, stream, config } = await streamOf(nats, family)
    await manager.streams.update(stream, { ...config, max_msgs_per_subject: keep })
    await manager.streams.update(stream, config)
  },
  /** All events of the aggregate are purged. Streams that deny a purge lose them one by one. */
  purge: async (nats: Nats, aggregate: AggregateRef): Promise<void> => {
    await removeWhere(nats, aggregate, () => true)
  },
  middle: async (nats: Nats, aggregate: AggregateRef): Promise<void> => {
    await removeWhere(nats, aggregate, (index, all) => index === Math.floor(all / 2))
  },
  first: async (nats: Nats, aggregate: AggregateRef): Promise<void> => {
    await removeWhere(nats, aggregate, index => index < 3)
  },
  last: async (nats: Nats, aggregate: AggregateRef): Promise<void> => {
    await removeWhere(nats, aggregate, (index, all) => index >= all - 3)
  },
} as const
export type Damage = keyof typeof damages

const streamOf = async ({ connection }: Nats, family: string) => {
  const manager = await jetstreamManager(connection, { checkAPI: false })
  const stream = `${family.toUpperCase()}_0`
  const { config } = (await manager.streams.info(stream)) as { config: StreamConfig }
  return { manager, stream, config }
}

/** Deletes the messages of an aggregate that `isRemoved` selects by index. */
const removeWhere = async (
  nats: Nats,
  aggregate: AggregateRef,
  isRemoved: (index: number, all: number) => boolean,
): Promise<void> => {
  const { manager, stream } = await streamOf(nats, aggregate.family)
  const log = new JetStreamEventLog(nats, await discoverLog(nats.connection))
  const sequences: number[] = []
  for await (const batch of log.read(aggregate, 0))
    for (const { streamSeq } of batch) sequences.push(streamSeq)
  log.close()
  for (const [index, seq] of sequences.entries())
    if (isRemoved(index, sequences.length)) await manager.streams.deleteMessage(stream, seq)
}
