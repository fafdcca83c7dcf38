export {
  type AppliedInRegion,
  applyRegions,
  planRegions,
  type RegionsPlan,
} from './apply-regions.ts'
export { checkRegion } from './check-region.ts'
export type { Conflict, RegionChange } from './compare-regions.ts'
export { type DiagnoseOptions, diagnoseRegions } from './diagnose-regions.ts'
export { HomeFence } from './home-fence.ts'
export { Lease } from './lease.ts'
export { loadTopology } from './load-topology.ts'
export { MirrorAcks, MirrorReports } from './mirror-acks.ts'
export { domainOf, type OpenRegion } from './open-region.ts'
export {
  newestPromises,
  type Promises,
  readPromises,
  withPromises,
} from './promises.ts'
export type { Cure, ExaminedRegions, RegionFinding } from './region-finding.ts'
export {
  type MirrorStatus,
  type RegionsStatus,
  regionsStatus,
  type StreamInRegions,
} from './region-status.ts'
export { definitionsIn, type StreamRole, streamsIn } from './region-streams.ts'
export { isOneRegion, placementOf, type Region, type Topology, TopologyError } from './topology.ts'
