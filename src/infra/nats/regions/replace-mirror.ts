import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ConsumerConfig, JetStreamManager, StreamConfig } from '@nats-io/jetstream'
import { restoreStream, snapshotStream } from '../backup/stream-snapshot.ts'
import type { Nats } from '../client/connection.ts'
import { ApiError, apiCodeOf } from '../client/jetstream-api.ts'
import type { AnyDefinition } from '../log/stream-differences.ts'
import { infoOf } from '../log/streams.ts'
import { mirrorConsumer, mirrorConsumerName } from './region-streams.ts'

export interface MirrorPlace {
  readonly nats: Nats
  readonly manager: JetStreamManager
}

export interface ReplaceMirrorOptions {
  /** The definition of the mirror. */
  readonly mirror: AnyDefinition
  /** Metadata of the home about its changes, which its mirrors repeat. */
  readonly metadata: Readonly<Record<string, string>>
  /** The region that gets the mirror. */
  readonly region: string
  /**
   * The last sequence up to which the region's stream holds the same events as the home. The mirror keeps them when the
   * stream has none after it.
   */
  readonly keepsUpTo: number
}

const withoutConsumer = async (manager: JetStreamManager, stream: string, name: string): Promise<void> => {
  try {
    await manager.consumers.delete(stream, name)
  } catch (error) {
    if (apiCodeOf(error) !== ApiError.consumerNotFound) throw error
  }
}

const withoutStream = async (manager: JetStreamManager, stream: string): Promise<void> => {
  try {
    await manager.streams.delete(stream)
  } catch (error) {
    if (apiCodeOf(error) !== ApiError.streamNotFound) throw error
  }
}

/**
 * Replaces the stream of a region by a mirror of the home. A stream cannot become a mirror, so it is taken out as a
 * snapshot, deleted, and restored as a mirror, which the home then continues. With events after `keepsUpTo` the
 * mirror copies everything. The home holds all events meanwhile. May be repeated. Throws NatsError.
 */
export const replaceMirror = async (
  home: MirrorPlace,
  place: MirrorPlace,
  { mirror, metadata, region, keepsUpTo }: ReplaceMirrorOptions,
): Promise<void> => {
  const { name } = mirror
  const config = { ...mirror, metadata: { ...mirror.metadata, ...metadata } } as StreamConfig
  const before = await infoOf(place.manager, name)
  await withoutConsumer(home.manager, name, mirrorConsumerName(region))
  const startAfter = async (seq: number): Promise<void> => {
    await home.manager.consumers.add(name, mirrorConsumer(region, name, seq + 1) as ConsumerConfig)
  }
  const copyAll = async (): Promise<void> => {
    await withoutStream(place.manager, name)
    await withoutConsumer(home.manager, name, mirrorConsumerName(region))
    await startAfter(0)
    await place.manager.streams.add(config)
  }
  if (before !== undefined && before.state.last_seq > 0 && before.state.last_seq <= keepsUpTo) {
    const { config: current, state, chunks } = await snapshotStream(place.nats, name)
    const folder = await mkdtemp(join(tmpdir(), 'confab-mirror-'))
    const file = join(folder, 'snapshot')
    try {
      await pipeline(chunks, createWriteStream(file, { mode: 0o600 }))
      // A mirror of the former home may have received more meanwhile.
      const after = await place.manager.streams.info(name)
      if (after.state.last_seq !== before.state.last_seq) return await copyAll()
      const { subjects: _, subject_transform: _t, allow_atomic: _a, duplicate_window: _d, ...kept } = current
      await place.manager.streams.delete(name)
      await startAfter(state.last_seq)
      try {
        await restoreStream(place.nats, { ...kept, ...config } as StreamConfig, state, createReadStream(file))
      } catch {
        // A part of the stream may exist. The server also fails now and then: "read/write on closed pipe".
        await copyAll()
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    return
  }
  await copyAll()
}
