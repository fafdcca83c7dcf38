import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import type { Cut } from '../../../commands/index.ts'
import { Header, markerType, partitionCount, partitionOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck } from '../client/publish-ack.ts'
import { cutsIn, ingestSubject, RegionMetadata, storedSubjectsOf } from '../log/log-layout.ts'
import { type AnyDefinition, updatedConfig } from '../log/stream-differences.ts'
import { infoOf } from '../log/streams.ts'
import { ingestOfHome } from './region-streams.ts'

const cutsText = (cuts: readonly Cut[]): string =>
  cuts.map(({ epoch, streamSeq }) => `${epoch}:${streamSeq}`).join(' ')

const requestMs = 3_000

/** Returns the status of a stream. Throws NatsError when it does not exist. */
export const existing = async (manager: JetStreamManager, stream: string): Promise<StreamInfo> => {
  const info = await infoOf(manager, stream)
  if (info !== undefined) return info
  throw new NatsError(NatsProblem.streams, `stream ${stream} does not exist`)
}

/** Whether a stream takes events under the subjects that `ingest` makes. */
const takes = (config: StreamConfig, ingest: (subject: string) => string): boolean => {
  const taken = new Set(config.subjects)
  return storedSubjectsOf(config).every(subject => taken.has(ingest(subject)))
}

const frozen = (subject: string): string => `frozen.${subject}`

/** Whether a stream is frozen: it takes markers only. */
export const isFrozen = (info: StreamInfo): boolean => takes(info.config, frozen)

/** Gives a stream other subjects. Those under which it stores stay. */
const setIngest = async (
  manager: JetStreamManager,
  stream: string,
  ingest: (subject: string) => string,
): Promise<void> => {
  const { config } = await existing(manager, stream)
  if (takes(config, ingest)) return
  await manager.streams.update(stream, { ...config, ...ingestOfHome(storedSubjectsOf(config), ingest) })
}

/** Makes a home refuse all events. A stopped process with an old epoch stores nothing there any more. */
export const freeze = (manager: JetStreamManager, stream: string): Promise<void> =>
  setIngest(manager, stream, frozen)

/** Lets a frozen home take the events of its epoch again. */
export const unfreeze = (manager: JetStreamManager, stream: string, epoch: number): Promise<void> =>
  setIngest(manager, stream, subject => ingestSubject(epoch, subject))

/**
 * Stores a message in a frozen stream, and returns its sequence: events on their way when the stream was frozen are
 * stored before it. Throws NatsError.
 */
export const storeMarker = async (nats: Nats, manager: JetStreamManager, stream: string): Promise<number> => {
  const { config } = await existing(manager, stream)
  const [family = '', own = ''] = (storedSubjectsOf(config)[0] ?? '').split('.')
  const partition = own === '*' ? 0 : Number(own)
  // An id of another partition, so that the subject belongs to no aggregate.
  const id = ['marker', 'marker-'].find(one => partitionOf(one) !== partition % partitionCount)
  const block = headers()
  block.set(Header.type, markerType)
  const answer = await nats.connection.request(frozen(`${family}.${partition}.${id}`), '', {
    timeout: requestMs,
    headers: block,
  })
  const ack = readAck(answer)
  if (!isRefusal(ack)) return ack.seq
  throw new NatsError(NatsProblem.streams, `stream ${stream}: ${ack.description}`)
}

/** Returns the epoch of the message with a sequence: 0 for a marker, undefined for no message. */
const epochAt = async (
  manager: JetStreamManager,
  stream: string,
  seq: number,
): Promise<number | undefined> => {
  try {
    const message = await manager.streams.getMessage(stream, { seq })
    return message === null ? undefined : Number(message.header.get(Header.epoch) || 0)
  } catch {
    return undefined
  }
}

/**
 * Makes a mirror the home of its stream, and returns the cut: the last sequence of the epoch before. `home`: the
 * definition of the home in its new epoch. May be repeated. Throws NatsError.
 */
export const promote = async (
  manager: JetStreamManager,
  home: AnyDefinition,
  epoch: number,
): Promise<number> => {
  const { name } = home
  const before = await existing(manager, name)
  const known = cutsIn(before.config).find(one => one.epoch === epoch)
  if (known !== undefined && before.config.mirror === undefined) return known.streamSeq
  const earlier = cutsIn(before.config).filter(one => one.epoch !== epoch)
  const update = async (config: StreamConfig, streamSeq: number): Promise<void> => {
    const { mirror: _, ...wanted } = updatedConfig(config, home, [])
    const metadata = {
      ...wanted.metadata,
      [RegionMetadata.cuts]: cutsText([...earlier, { epoch, streamSeq }]),
    }
    // nats.js merges the settings with those of the stream.
    await manager.streams.update(name, {
      ...wanted,
      mirror: undefined,
      mirror_direct: false,
      metadata,
    } as unknown as StreamConfig)
  }
  let cut = before.state.last_seq
  await update(before.config, cut)
  // Messages of the old home may have arrived between the reading and the update.
  const { config, state } = await existing(manager, name)
  const first = cut
  while (cut < state.last_seq) {
    const next = await epochAt(manager, name, cut + 1)
    if (next !== undefined && next >= epoch) break
    cut++
  }
  if (cut !== first) await update(config, cut)
  return cut
}

/** Metadata of a home that its mirrors repeat. */
export const sharedMetadata = ({ metadata }: StreamConfig): Record<string, string> =>
  Object.fromEntries(
    Object.entries(metadata ?? {}).filter(
      ([key]) => key === RegionMetadata.cuts || key === RegionMetadata.epoch,
    ),
  )
