import type { StreamInfo } from '@nats-io/jetstream'
import { missingIn } from '../log/stream-status.ts'
import type { ComparedRegion, ComparedRegions } from './compare-regions.ts'
import type { Cure, ExaminedRegions, RegionFinding } from './region-finding.ts'
import type { RegionFault, RegionsStatus } from './region-status.ts'
import { mirrorConsumerName } from './region-streams.ts'
import { type MirrorPlace, replaceMirror } from './replace-mirror.ts'
import { sharedMetadata } from './stream-moves.ts'

/** Deleted messages that a server lists; with more, only their numbers are compared. */
const mostListed = 100_000

/** The messages that one of a home and its mirror lacks, up to the last message of the mirror. */
export interface DeletedDifference {
  /** Messages of the mirror that its home lacks. */
  readonly onlyInMirror: number
  /** Messages of the home that its mirror lacks. */
  readonly onlyInHome: number
  /** Some of the sequences. */
  readonly examples: readonly number[]
}

type State = Pick<StreamInfo['state'], 'first_seq' | 'last_seq'> & {
  readonly deleted?: readonly number[] | null
}

/** Compares the deleted messages of a home and of its mirror. */
export const compareDeleted = (home: State, mirror: State): DeletedDifference => {
  const lacking = ({ first_seq, deleted }: State, other: State): number[] => {
    const of = new Set(other.deleted ?? [])
    const has = (seq: number): boolean => seq >= other.first_seq && seq <= other.last_seq && !of.has(seq)
    const before: number[] = []
    for (let seq = other.first_seq; seq < Math.min(first_seq, other.last_seq + 1); seq++)
      if (before.length < mostListed && !of.has(seq)) before.push(seq)
    return [...before, ...(deleted ?? []).filter(has)]
  }
  const inMirror = lacking(home, mirror)
  const inHome = lacking(mirror, home).filter(seq => seq <= mirror.last_seq)
  return {
    onlyInMirror: inMirror.length,
    onlyInHome: inHome.length,
    examples: [...inMirror, ...inHome].slice(0, 3),
  }
}

/** Returns the difference of a home and a mirror; undefined when they have too many deleted messages. */
const differenceOf = async (
  home: ComparedRegion,
  mirror: ComparedRegion,
  stream: string,
): Promise<DeletedDifference | undefined> => {
  // The mirror first: a delete at the home in between is a difference, and one in the mirror is not overlooked.
  const infos: StreamInfo[] = []
  for (const { manager } of [mirror, home]) infos.push(await manager.streams.info(stream))
  if (infos.every(info => missingIn(info) === 0)) return { onlyInMirror: 0, onlyInHome: 0, examples: [] }
  if (infos.some(({ state }) => (state.num_deleted ?? 0) > mostListed)) return undefined
  const [inMirror, atHome] = await Promise.all(
    [mirror, home].map(({ manager }) => manager.streams.info(stream, { deleted_details: true })),
  )
  return compareDeleted(atHome!.state, inMirror!.state)
}

/** Returns the cure that copies a mirror again. The home has everything that the mirror has. */
const cureByReplacement = (
  { open }: ExaminedRegions,
  home: ComparedRegion,
  mirror: ComparedRegion,
  stream: string,
): Cure => {
  const region = mirror.region.name
  const placeOf = ({ manager, region: { name } }: ComparedRegion): MirrorPlace => ({
    manager,
    nats: open.find(one => one.region.name === name)!.nats,
  })
  return {
    does: `delete ${stream} in ${region}, and copy it again from its home in ${home.region.name}`,
    isDestructive: true,
    run: async () => {
      const found = mirror.streams.find(({ compared }) => compared.defined.name === stream)
      const info = await home.manager.streams.info(stream)
      await replaceMirror(placeOf(home), placeOf(mirror), {
        mirror: found!.compared.defined,
        metadata: sharedMetadata(info.config),
        region,
        keepsUpTo: 0,
      })
      return { [`${stream} in ${region}`]: 'replaced' }
    },
  }
}

const replaceAdvice = (stream: string, region: string): string =>
  `delete ${stream} in ${region} with "nats stream rm", and run "confab streams apply": the new mirror copies everything`

/** Says what to do about a fault of a mirror that sequences and hashes show. */
const faultAdvice = ({ kind, stream = '', region = '' }: RegionFault, home: string): string => {
  if (kind === 'stalled')
    return `repair the link between ${home} and ${region}, or the consumer ${mirrorConsumerName(region)} in ${home}; then the mirror continues by itself. JetStream's "lag" and "active" may look healthy`
  if (kind === 'beyond')
    return `the home has lost its end, or is not the home: save the messages of the mirror before anything else, for example with "confab backup"`
  return `find out which of both is right, for example from a backup. If it is the home: ${replaceAdvice(stream, region)}`
}

const deletedFindings = (
  difference: DeletedDifference,
  stream: string,
  region: string,
  replacement: Cure | undefined,
): RegionFinding[] => {
  const place = { what: stream, where: region, state: 'ill' } as const
  const { onlyInMirror, onlyInHome, examples } = difference
  const some = `sequence ${examples.join(', ')}${onlyInMirror + onlyInHome > examples.length ? ', …' : ''}`
  return [
    ...(onlyInHome === 0
      ? []
      : [
          {
            ...place,
            detail: `has skipped ${onlyInHome} messages that its home has: ${some}`,
            advice: replaceAdvice(stream, region),
            ...(replacement === undefined ? {} : { cure: replacement }),
          },
        ]),
    ...(onlyInMirror === 0
      ? []
      : [
          {
            ...place,
            detail: `has ${onlyInMirror} messages that its home has deleted or lost: ${some}`,
            advice: `if they were deleted on purpose, delete them here too ("nats stream rmm ${stream} <sequence>"); if the home has lost them, these are the last copies`,
          },
        ]),
  ]
}

/** Examines each mirror by its sequences in two samples, by a hash of its end, and by its deleted messages. */
export const diagnoseMirrors = async (
  examined: ExaminedRegions,
  { streams, faults }: RegionsStatus,
  { regions }: ComparedRegions,
): Promise<RegionFinding[]> => {
  const findings: RegionFinding[] = faults
    .filter(({ kind }) => kind === 'homes')
    .map(({ stream = '', text }) => ({
      what: stream,
      state: 'ill',
      detail: text,
      advice:
        'stop the processes of confab in one of the regions at once; then "confab region rejoin" joins it again',
    }))
  for (const { stream, home: homeName, homeLast, mirrors } of streams) {
    const home = regions.find(({ region }) => region.name === homeName)
    const isSingleHome = !faults.some(one => one.kind === 'homes' && one.stream === stream)
    if (home === undefined || homeLast === undefined || !isSingleHome) continue
    if (mirrors.length > 0 || examined.topology.regions.length === 1)
      findings.push({
        what: stream,
        where: homeName,
        state: 'well',
        detail: `home, last message ${homeLast}`,
      })
    for (const { region, last, behind = 0 } of mirrors) {
      const mirror = regions.find(one => one.region.name === region)
      if (mirror === undefined || last === undefined) continue
      const own = faults.filter(one => one.stream === stream && one.region === region)
      const difference = await differenceOf(home, mirror, stream)
      const canReplace = difference?.onlyInMirror === 0 && last <= homeLast
      const replacement = canReplace ? cureByReplacement(examined, home, mirror, stream) : undefined
      const deleted = difference === undefined ? [] : deletedFindings(difference, stream, region, replacement)
      const others = own
        // Deleted messages change the hash, and are what is skipped.
        .filter(({ kind }) => kind !== 'missing' && !(deleted.length > 0 && kind === 'different'))
        .filter(({ kind }) => kind !== 'skipped' || difference === undefined)
        .map(
          (fault): RegionFinding => ({
            what: stream,
            where: region,
            state: 'ill',
            detail: fault.text,
            advice: faultAdvice(fault, homeName),
          }),
        )
      findings.push(...others, ...deleted)
      if (others.length + deleted.length === 0)
        findings.push({
          what: stream,
          where: region,
          state: 'well',
          detail:
            behind === 0 ? 'mirror, level with its home' : `mirror, ${behind} messages behind, and moving`,
        })
    }
  }
  return findings
}
