import { type StreamStatus, streamsStatus } from '../log/stream-status.ts'
import type { ComparedRegion, ComparedRegions } from './compare-regions.ts'
import type { ExaminedRegions, RegionFinding } from './region-finding.ts'

export interface GrowthLimits {
  /** Subjects that a stream of the log holds well. Default: 1,000,000, as streams/conversations.yaml says. */
  readonly mostSubjects?: number
}

/** A stream is reported that is full within this many days, and one that is full within a few. */
const soonDays = 30
const urgentDays = 7
/** The part of a limit from which on a stream is reported. */
const nearPart = 0.8

const near = (value: number, most: number | undefined): boolean =>
  most !== undefined && most > 0 && value >= most * nearPart

const findingsOf = (
  status: StreamStatus,
  { region, streams }: ComparedRegion,
  { mostSubjects = 1_000_000 }: GrowthLimits,
): RegionFinding[] => {
  const compared = streams.find(one => one.compared.defined.name === status.stream)
  const config = compared?.compared.info?.config
  const place = { what: status.stream, where: region.name }
  const findings: RegionFinding[] = []
  const isFull = status.subjects >= mostSubjects
  if (compared?.role !== undefined && near(status.subjects, mostSubjects))
    findings.push({
      ...place,
      state: isFull ? 'ill' : 'note',
      detail: `${status.subjects} subjects; a stream holds up to about ${mostSubjects} well`,
      advice: 'add streams with "confab streams reshard"',
    })
  // A stream that drops its oldest messages is never full.
  if (config?.discard === 'new')
    for (const [limit, value] of [
      ['max_msgs', status.messages],
      ['max_bytes', status.bytes],
    ] as const)
      if (near(value, config[limit]))
        findings.push({
          ...place,
          state: 'ill',
          detail: `holds ${value} of ${limit} ${config[limit]}: it refuses messages when it is full`,
          advice: `raise ${limit} in streams/*.yaml, and run "confab streams apply"`,
        })
  const { forecast } = status
  if (forecast !== undefined && forecast.days < soonDays)
    findings.push({
      ...place,
      state: forecast.days < urgentDays ? 'ill' : 'note',
      detail: `reaches its limit of ${forecast.limit} in ${Math.floor(forecast.days)} days, as it grew in the last 24 hours`,
      advice:
        forecast.limit === 'storage'
          ? 'add storage to the servers of the region: see docs/operations/disk-full.md'
          : `raise ${forecast.limit} in streams/*.yaml, and run "confab streams apply"`,
    })
  return findings
}

/** Finds the streams of each region that are near their limits. */
export const diagnoseGrowth = async (
  { open }: ExaminedRegions,
  { regions }: ComparedRegions,
  limits: GrowthLimits = {},
): Promise<RegionFinding[]> => {
  const found = await Promise.all(
    regions.map(async one => {
      const nats = open.find(({ region }) => region.name === one.region.name)?.nats
      if (nats === undefined) return []
      const statuses = await streamsStatus(
        nats,
        one.streams.map(({ compared }) => compared.defined),
      )
      return statuses.flatMap(status => findingsOf(status, one, limits))
    }),
  )
  return found.flat()
}
