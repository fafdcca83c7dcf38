import { Family } from '../../src/events/index.ts'
import type { Nats } from '../../src/infra/nats/index.ts'
import { openManager } from '../../src/infra/nats/log/streams.ts'
import { PartitionMover } from '../../src/infra/nats/reshard/move-partitions.ts'
import type { MoveStep } from '../../src/infra/nats/reshard/move-steps.ts'
import { type PartitionMove, partitionsIn, planMoves } from '../../src/infra/nats/reshard/plan-moves.ts'

/** Returns the moves that give a family `count` streams. */
export const movesOf = async (
  nats: Nats,
  count: number,
  family: Family = Family.conversation,
): Promise<PartitionMove[]> => {
  const manager = await openManager(nats.connection)
  const streams = new Map<string, number[]>()
  for await (const { config } of manager.streams.list()) {
    const partitions = partitionsIn(family, config.subjects ?? [])
    if (partitions.length > 0) streams.set(config.name, partitions)
  }
  return planMoves(family, streams, count)
}

/** Carries out one move. Returns for how long the partitions refused writes, at most, ms. */
export const movePartitions = async (
  nats: Nats,
  move: PartitionMove,
  onStep: (step: MoveStep) => Promise<void> | void = () => {},
  family: Family = Family.conversation,
): Promise<number | undefined> => {
  const manager = await openManager(nats.connection)
  const { refusedMs } = await new PartitionMover(move, { nats, manager, family, onStep }).run()
  return refusedMs
}
