import { type Family, partitionCount } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { discoverLog, RegionMetadata } from '../log/log-layout.ts'
import { openManager } from '../log/streams.ts'
import { PartitionMover } from './move-partitions.ts'
import type { MoveStep } from './move-steps.ts'
import type { OperationJournal, ReshardOperation } from './operation-journal.ts'
import { partitionsIn } from './plan-moves.ts'

/** Returns the streams of a family with their partitions. Throws NatsError when no stream takes a partition. */
export const familyStreams = async (
  { connection }: Pick<Nats, 'connection'>,
  family: Family,
): Promise<Map<string, number[]>> => {
  const manager = await openManager(connection)
  const layout = await discoverLog(connection)
  const streams = new Map<string, number[]>()
  for (const stream of layout.streams) {
    if (layout.familyOf(stream) !== family) continue
    const { config } = await manager.streams.info(stream)
    streams.set(stream, partitionsIn(family, config.subjects))
  }
  if ([...streams.values()].flat().length !== partitionCount)
    throw new RangeError(`the streams of ${family} overlap`)
  return streams
}

/** Whether the streams of the log belong to a system of several regions. Throws NatsError. */
export const hasSeveralRegions = async ({ connection }: Pick<Nats, 'connection'>): Promise<boolean> => {
  const manager = await openManager(connection)
  for await (const { config } of manager.streams.list())
    if (config.metadata?.[RegionMetadata.role] !== undefined) return true
  return false
}

export interface RunMovesOptions {
  readonly nats: Nats
  readonly journal: OperationJournal
  /** Stops the operation before its next step, but not while partitions are cut off. */
  readonly signal: AbortSignal
  readonly onStep: (to: string, step: MoveStep) => void
}

/**
 * Carries out the moves of an operation that the journal has begun, one after another. Moves that are done are skipped.
 * Returns for how long the partitions of each move refused writes, at most, ms; undefined where that is not known.
 * Throws NatsError, MirrorBehindError, OperationTakenError, and the reason of `signal`.
 */
export const runMoves = async (
  { family, moves }: ReshardOperation,
  { nats, journal, signal, onStep }: RunMovesOptions,
): Promise<readonly (number | undefined)[]> => {
  const manager = await openManager(nats.connection)
  const refused: (number | undefined)[] = []
  for (const [index, move] of moves.entries()) {
    const mover = new PartitionMover(move, {
      nats,
      manager,
      family,
      signal,
      onStep: async step => {
        onStep(move.to, step)
        await journal.record(index, { step })
      },
    })
    const refusedMs = (await mover.run()).refusedMs ?? move.refusedMs
    await journal.record(index, { step: 'done', ...(refusedMs === undefined ? {} : { refusedMs }) })
    refused.push(refusedMs)
  }
  await journal.finish()
  return refused
}
