export { openManager } from '../log/streams.ts'
export { type ChangeHomeOptions, HomeChange, MirrorTooFarBehindError } from './change-home.ts'
export { type LostEvent, readLostEvents, removeLostEvent } from './lost-events.ts'
export { PlacementError, type PlannedStream, planChange, streamsElsewhere } from './plan-change.ts'
export {
  type DoneStep,
  failoverSteps,
  NoMajorityError,
  OperationRunningError,
  RegionJournal,
  type RegionOperation,
  type RegionStep,
  rejoinSteps,
  switchOverSteps,
  unfinishedIn,
} from './region-journal.ts'
export { type OutdatedStream, outdatedStreams, rejoinRegion } from './rejoin-region.ts'
