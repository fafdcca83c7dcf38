import { type OpenRegions, openRegions } from '../../app/open-regions.ts'
import { redact } from '../../base/redact.ts'
import { sleep } from '../../base/sleep.ts'
import type { ConfabConfig } from '../../infra/config/index.ts'
import {
  type Cure,
  diagnoseRegions,
  type ExaminedRegions,
  isOneRegion,
  type RegionFinding,
} from '../../infra/nats/regions/index.ts'
import { CliError } from '../command/cli-error.ts'
import type { CommandRecorder } from '../command/command-effect.ts'
import { configOf, openExisting, type SystemFlags } from '../command/config-flags.ts'
import { confirm } from '../command/confirm.ts'
import { readTopology } from '../command/regions.ts'
import { type Finding, printFindings, refuseIll } from '../doctor/findings.ts'
import { note } from '../terminal/output.ts'

export interface RegionDoctorFlags extends SystemFlags {
  readonly fix?: boolean
  readonly yes?: boolean
  readonly dryRun?: boolean
  readonly json?: boolean
}

const findingOf = ({ cure, detail, ...finding }: RegionFinding): Finding => ({
  ...finding,
  detail: redact(detail),
})

/** Returns the cures of findings, each once. The destructive cures are last: an earlier cure may be enough. */
const curesOf = (findings: readonly RegionFinding[]): Cure[] => {
  const cures = new Map(
    findings.flatMap(({ cure }) => (cure === undefined ? [] : [[cure.does, cure] as const])),
  )
  return [...cures.values()].sort((one, other) => Number(one.isDestructive) - Number(other.isDestructive))
}

/** Time for which the mirrors may need to continue after a cure, ms, and the pause between two examinations. */
const settleMs = 30_000
const pauseMs = 1_000

/** Examines the regions until nothing is ill, or the mirrors have had the time to continue. */
const untilSettled = async (examined: ExaminedRegions): Promise<RegionFinding[]> => {
  const endsAt = Date.now() + settleMs
  for (;;) {
    const findings = await diagnoseRegions(examined)
    if (findings.every(({ state }) => state !== 'ill') || Date.now() >= endsAt) return findings
    await sleep(pauseMs)
  }
}

interface Fixing {
  readonly recorder: CommandRecorder
  readonly config: ConfabConfig
  readonly examined: ExaminedRegions
  readonly flags: RegionDoctorFlags
}

/** Carries out the cures of findings. Returns the findings afterwards. */
const fix = async (
  { recorder, config, examined, flags }: Fixing,
  found: readonly RegionFinding[],
): Promise<readonly RegionFinding[]> => {
  const cures = curesOf(found)
  const skipped = flags.yes || flags.dryRun ? [] : cures.filter(({ isDestructive }) => isDestructive)
  const chosen = cures.filter(cure => !skipped.includes(cure))
  for (const { does } of skipped) note(`with --yes only: ${does}`)
  for (const { does, isDestructive } of chosen) note(`${isDestructive ? 'destructive: ' : ''}${does}`)
  if (chosen.length === 0) note('nothing can be cured by this command')
  const nats = examined.open[0]?.nats
  if (flags.dryRun || chosen.length === 0 || nats === undefined) return found
  if (!flags.yes && !(await confirm(`Carry out ${chosen.length} cures?`))) return found
  for (const { does, run } of chosen)
    try {
      await recorder.perform({ config, nats }, { target: does }, async report => report(await run()))
    } catch (error) {
      // The others may work, and the examination afterwards says what is left.
      note(`failed: ${does}: ${redact((error as Error).message)}`)
    }
  return untilSettled(examined)
}

/** `confab region doctor`. Throws CliError when a finding is left that needs an operator. */
export const doctor = async (recorder: CommandRecorder, flags: RegionDoctorFlags): Promise<void> => {
  if (!flags.fix && (flags.yes || flags.dryRun))
    throw new CliError('BAD_OPTION', '--yes and --dry-run need --fix: without --fix nothing is changed')
  const config = configOf(flags)
  const { topology, definitions } = readTopology(config)
  const own = isOneRegion(topology) ? await openExisting(config, 'confab-region') : undefined
  let regions: OpenRegions | undefined
  try {
    regions = await openRegions(topology, config, 'confab-region', note, { own: own?.nats })
    const { open, unreachable } = regions
    const examined: ExaminedRegions = { topology, definitions, open, unreachable }
    recorder.nothingChanged()
    const found = await diagnoseRegions(examined)
    const left = flags.fix ? await fix({ recorder, config, examined, flags }, found) : found
    const findings = left.map(findingOf)
    await printFindings(findings, flags.json)
    if (!flags.dryRun) refuseIll(findings)
  } finally {
    await regions?.close()
    await own?.close()
  }
}
