export { MirrorBehindError } from './move-partitions.ts'
export { type MoveStep, moveSteps } from './move-steps.ts'
export {
  type JournaledMove,
  OperationJournal,
  OperationTakenError,
  type ReshardOperation,
} from './operation-journal.ts'
export { type PartitionMove, planMoves } from './plan-moves.ts'
export { familyStreams, hasSeveralRegions, runMoves } from './run-moves.ts'
