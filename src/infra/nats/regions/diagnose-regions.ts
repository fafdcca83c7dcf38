import { compareRegions } from './compare-regions.ts'
import { diagnoseConsumers } from './diagnose-consumers.ts'
import { diagnoseGrowth, type GrowthLimits } from './diagnose-growth.ts'
import { diagnoseLinks } from './diagnose-links.ts'
import { diagnoseMirrors } from './diagnose-mirrors.ts'
import { diagnoseOperation } from './diagnose-operation.ts'
import { diagnoseServers } from './diagnose-servers.ts'
import { diagnoseSettings } from './diagnose-settings.ts'
import type { ExaminedRegions, RegionFinding } from './region-finding.ts'
import { regionsStatus } from './region-status.ts'

export interface DiagnoseOptions extends GrowthLimits {
  /** The last messages of each mirror that are compared with its home. Default: 1,000. */
  readonly hash?: number
  /** Time for which the mirrors are watched, ms. Default: 1,000. */
  readonly watchMs?: number
}

const order = { ill: 0, note: 1, well: 2 } as const

/**
 * Examines the servers of all regions, the links between them, and their streams. The findings that an operator has to
 * act on come first. Rejects with NatsError, or with an error of NATS, when a region stops to answer meanwhile.
 */
export const diagnoseRegions = async (
  examined: ExaminedRegions,
  { hash = 1_000, watchMs = 1_000, ...limits }: DiagnoseOptions = {},
): Promise<RegionFinding[]> => {
  const { findings: servers, usable } = await diagnoseServers(examined)
  const { topology, definitions } = examined
  // A region that is not examined is not cured.
  const usableOnly = { ...examined, open: usable }
  const [operations, links, status, compared] = await Promise.all([
    diagnoseOperation(usableOnly),
    diagnoseLinks(usable),
    regionsStatus(topology, usable, definitions, { hash, watchMs }),
    compareRegions(topology, usable, definitions),
  ])
  const twoHomes = new Set(
    status.faults.flatMap(({ kind, stream }) => (kind === 'homes' && stream !== undefined ? [stream] : [])),
  )
  const [mirrors, consumers, growth] = await Promise.all([
    diagnoseMirrors(usableOnly, status, compared),
    diagnoseConsumers(compared),
    diagnoseGrowth(usableOnly, compared, limits),
  ])
  // A finding about two homes explains all other differences of the stream.
  const settings = diagnoseSettings(usableOnly, compared).filter(({ what }) => !twoHomes.has(what))
  const all = [...operations, ...servers, ...links, ...mirrors, ...settings, ...consumers, ...growth].sort(
    (one, other) => order[one.state] - order[other.state],
  )
  // An operation that moves homes differs from the definitions on purpose, until it is done.
  return operations.length === 0 ? all : all.map(({ cure, ...finding }) => finding)
}
