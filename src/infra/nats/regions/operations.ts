export { type ChangeHomeOptions, HomeChange, MirrorTooFarBehindError } from './change-home.ts'
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
} from './region-journal.ts'
