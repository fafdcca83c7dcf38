import { safeguards } from '../log/stream-definitions.ts'
import type { StreamChange } from '../log/stream-differences.ts'
import { applyRegions } from './apply-regions.ts'
import type { ComparedRegion, ComparedRegions, ConsumerChange } from './compare-regions.ts'
import { promisesStreamName } from './promises-stream.ts'
import type { Cure, ExaminedRegions, RegionFinding } from './region-finding.ts'
import { mirrorConsumerName } from './region-streams.ts'

/** Returns the cure that does for one stream what "streams apply" does for all. */
export const cureByApply = ({ topology, open, definitions }: ExaminedRegions, stream: string): Cure => ({
  does: `set ${stream}, its mirrors and their consumers as defined`,
  isDestructive: false,
  run: async () => {
    const changed: Record<string, string> = {}
    const own = definitions.filter(({ name }) => name === stream)
    // PROMISES is of no file, and every run applies it.
    await applyRegions(topology, open, own.length > 0 ? own : definitions.slice(0, 1), {
      allowLoss: new Set(),
      onApplied: ({ region, stream: name, outcome, changed: fields }) => {
        if (outcome !== 'unchanged') changed[`${name} in ${region}`] = [outcome, ...fields].join(' ')
      },
    })
    return changed
  },
})

/** Groups of settings, with what a difference means for a home and for its mirrors. */
const groups = [
  {
    has: (field: string) => field === 'duplicate_window',
    detail: 'the window within which the server recognizes an event that is sent twice',
  },
  {
    has: (field: string) => field in safeguards,
    detail: 'home and mirror have to keep the same messages',
  },
  { has: () => true, detail: undefined },
] as const

const changeText = ({ field, from, to }: StreamChange): string =>
  `${field} is ${from === undefined ? 'not set' : JSON.stringify(from)} instead of ${JSON.stringify(to)}`

const advice = { apply: 'run "confab streams apply"', plan: 'see "confab streams plan"' } as const

const ofStreams = (
  examined: ExaminedRegions,
  { region, streams }: ComparedRegion,
  isRefused: (stream: string) => boolean,
): RegionFinding[] =>
  streams.flatMap(({ compared: { changes, kept, defined } }): RegionFinding[] => {
    const place = { what: defined.name, where: region.name }
    const isCurable = !isRefused(defined.name)
    const cure = isCurable ? { cure: cureByApply(examined, defined.name) } : {}
    if (changes.some(({ field }) => field === 'name'))
      return isCurable
        ? [{ ...place, state: 'ill', detail: 'does not exist', advice: advice.apply, ...cure }]
        : []
    let left = changes
    const findings = groups.flatMap(({ has, detail }): RegionFinding[] => {
      const own = left.filter(({ field }) => has(field))
      left = left.filter(change => !own.includes(change))
      if (own.length === 0) return []
      const text = own.map(changeText).join(', ')
      return [
        {
          ...place,
          state: 'ill',
          detail: detail === undefined ? text : `${text}: ${detail}`,
          advice: own.some(({ destructive }) => destructive)
            ? `the defined value removes messages: correct the definition, or "confab streams apply --allow-loss ${defined.name}"`
            : advice.apply,
          ...cure,
        },
      ]
    })
    if (kept.length > 0)
      findings.push({
        ...place,
        state: 'note',
        detail: `${kept.join(', ')} differs, and JetStream does not change it`,
      })
    return findings
  })

const ofConsumer = (examined: ExaminedRegions, change: ConsumerChange): RegionFinding[] => {
  const { home, mirror, stream, exists, differs } = change
  const name = mirrorConsumerName(mirror.region.name)
  const isMirrored = mirror.streams.some(
    ({ compared: { defined, info } }) => defined.name === stream && info !== undefined,
  )
  // The mirror that does not exist is a finding, and its creation creates the consumer.
  if (!isMirrored && !exists) return []
  const detail = !exists
    ? `the consumer ${name} does not exist: the mirror receives nothing`
    : !isMirrored
      ? `the consumer ${name} is of a mirror that does not exist`
      : `the consumer ${name} has another ${differs.join(', ')}${differs.includes('max_ack_pending') ? ': the window of messages that the home sends ahead' : ''}`
  return [
    {
      what: stream,
      where: home.region.name,
      state: 'ill',
      detail,
      advice: advice.apply,
      cure: cureByApply(examined, stream),
    },
  ]
}

/** Examines the settings of all streams in all regions, and the consumers that mirrors need at their homes. */
export const diagnoseSettings = (
  examined: ExaminedRegions,
  { promises, regions, consumers, conflicts }: ComparedRegions,
): RegionFinding[] => {
  const destructive = new Set(
    regions.flatMap(({ streams }) =>
      streams.flatMap(({ compared }) =>
        compared.changes.some(change => change.destructive) ? [compared.defined.name] : [],
      ),
    ),
  )
  const isComplete = examined.open.length === examined.topology.regions.length
  const isRefused = (stream: string): boolean =>
    !isComplete || destructive.has(stream) || conflicts.some(one => one.stream === stream)
  const withoutCure = ({ cure, ...finding }: RegionFinding): RegionFinding => finding
  const findings = [
    ...conflicts.map(
      ({ region, stream, why }): RegionFinding => ({
        what: stream,
        where: region,
        state: 'ill',
        detail: why,
        advice: '"confab streams apply" does not change homes: see "confab region status"',
      }),
    ),
    ...regions.flatMap(one => ofStreams(examined, one, isRefused)),
    ...consumers.flatMap(change =>
      ofConsumer(examined, change).map(one => (isRefused(change.stream) ? withoutCure(one) : one)),
    ),
    ...promises.regions
      .filter(({ region, stored }) => {
        const exists = regions.some(
          one =>
            one.region.name === region.name &&
            one.streams.some(({ compared }) => compared.info && compared.defined.name === promisesStreamName),
        )
        return exists && (stored.value?.counter ?? 0) < promises.wanted.counter
      })
      .map(
        ({ region, stored }): RegionFinding => ({
          what: promisesStreamName,
          where: region.name,
          state: 'ill',
          detail: `has the promises of change ${stored.value?.counter ?? 0}, and change ${promises.wanted.counter} is the newest`,
          advice: advice.apply,
          ...(isRefused(promisesStreamName) ? {} : { cure: cureByApply(examined, promisesStreamName) }),
        }),
      ),
  ]
  return findings
}
