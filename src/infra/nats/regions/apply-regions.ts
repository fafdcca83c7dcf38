import type { ConsumerConfig } from '@nats-io/jetstream'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { type Applied, createMissing, named, refuseLoss, updateStreams } from '../log/streams.ts'
import {
  type ComparedPromises,
  type ComparedRegion,
  type ComparedRegions,
  type Conflict,
  type ConsumerChange,
  compareRegions,
  type RegionChange,
} from './compare-regions.ts'
import type { OpenRegion } from './open-region.ts'
import { readPromises, writePromises } from './promises.ts'
import { promisesStreamName } from './promises-stream.ts'
import { unfinishedIn } from './region-journal.ts'
import { mirrorConsumer, mirrorConsumerName } from './region-streams.ts'
import type { Topology } from './topology.ts'

/** The changes that `applyRegions` would make. */
export interface RegionsPlan {
  readonly changes: readonly RegionChange[]
  /** Settings that differ, and that JetStream does not change: `allow_msg_ttl of CONV_0 in b`. */
  readonly kept: readonly string[]
  readonly conflicts: readonly Conflict[]
}

/** The outcome of applying one definition in a region. */
export interface AppliedInRegion extends Applied {
  readonly region: string
}

/** The name of a mirror's consumer as the setting of a stream. */
const consumerField = ({ mirror }: ConsumerChange): string =>
  `consumer ${mirrorConsumerName(mirror.region.name)}`

/** The promises that are missing, or older than those of other regions. */
const promiseChanges = ({ regions, wanted }: ComparedPromises): RegionChange[] =>
  regions
    .filter(({ stored }) => (stored.value?.counter ?? 0) < wanted.counter)
    .map(({ region, stored }) => ({
      region: region.name,
      stream: promisesStreamName,
      field: 'promises',
      ...(stored.value === undefined ? {} : { from: `change ${stored.value.counter}` }),
      to: `change ${wanted.counter}`,
      destructive: false,
    }))

const planOf = ({ promises, regions, consumers, conflicts }: ComparedRegions): RegionsPlan => {
  const isConflict = (region: string, stream: string): boolean =>
    conflicts.some(one => one.region === region && one.stream === stream)
  const ofStreams = regions.flatMap(({ region: { name: region }, streams }) =>
    streams.flatMap(({ compared: { changes } }) =>
      changes.map(
        (change): RegionChange => ({
          region,
          ...change,
          destructive: change.destructive || isConflict(region, change.stream),
        }),
      ),
    ),
  )
  const ofConsumers = consumers.map(
    (change): RegionChange => ({
      region: change.home.region.name,
      stream: change.stream,
      field: consumerField(change),
      ...(change.exists ? { from: change.differs.join(', ') || 'of an earlier mirror' } : {}),
      to: `from ${change.startSeq}`,
      destructive: false,
    }),
  )
  const kept = regions.flatMap(({ region, streams }) =>
    streams.flatMap(({ compared }) =>
      compared.kept.map(field => `${field} of ${compared.defined.name} in ${region.name}`),
    ),
  )
  return { changes: [...ofStreams, ...ofConsumers, ...promiseChanges(promises)], kept, conflicts }
}

/** Returns what `applyRegions` would change in a topology of several regions. Throws NatsError. */
export const planRegions = async (
  topology: Topology,
  open: readonly OpenRegion[],
  definitions: readonly StreamDefinition[],
): Promise<RegionsPlan> => planOf(await compareRegions(topology, open, definitions))

const refuseConflicts = (conflicts: readonly Conflict[]): void => {
  const [first] = conflicts
  if (first === undefined) return
  throw new NatsError(
    NatsProblem.wouldLoseData,
    `${first.stream} in ${first.region} ${first.why}: correct the topology; "streams apply" does not move homes`,
  )
}

/** Creates the consumer that a mirror needs at its home, or replaces it. */
const applyConsumer = async (change: ConsumerChange): Promise<void> => {
  const { home, mirror, stream, exists, startSeq } = change
  const region = mirror.region.name
  await named(stream, async () => {
    if (exists) await home.manager.consumers.delete(stream, mirrorConsumerName(region))
    await home.manager.consumers.add(stream, mirrorConsumer(region, stream, startSeq) as ConsumerConfig)
  })
}

/** The streams of a region with one role, as comparisons. */
const comparedWith = ({ streams }: ComparedRegion, isMirror: boolean) =>
  streams.filter(({ role }) => (role === 'mirror') === isMirror).map(({ compared }) => compared)

/** A home that is frozen would take events again, although its mirrors are said to have all of them. */
const refuseDuringChange = async (open: readonly OpenRegion[]): Promise<void> => {
  const unfinished = await unfinishedIn(open)
  if (unfinished === undefined) return
  const { kind, streams, to } = unfinished
  throw new NatsError(
    NatsProblem.streams,
    `a ${kind} of ${streams.join(', ')} to ${to} is not finished: wait for its end, or run "confab region ${kind} --resume"`,
  )
}

export interface ApplyRegionsOptions {
  /** Names of the streams that may lose events by an update. */
  readonly allowLoss: ReadonlySet<string>
  /** Receives each stream when it is as defined, also before a later one fails. */
  readonly onApplied: (applied: AppliedInRegion) => void
}

/**
 * Makes the streams of all regions as the topology wants them: first the homes and the streams that each region has for
 * itself, then the consumer of each mirror at its home, then the mirrors, then the promises. It moves no home, deletes
 * no stream, and may be repeated after a failure. Throws NatsError, also while a change of homes is not finished.
 */
export const applyRegions = async (
  topology: Topology,
  open: readonly OpenRegion[],
  definitions: readonly StreamDefinition[],
  { allowLoss, onApplied }: ApplyRegionsOptions,
): Promise<void> => {
  await refuseDuringChange(open)
  const { promises, regions, consumers, conflicts } = await compareRegions(topology, open, definitions)
  // It may have begun, and have frozen a home, before the streams were compared.
  await refuseDuringChange(open)
  // A missing stream may be the home of events that only a mirror has: its creation has to be refused, too.
  const isFree = (region: string, stream: string): boolean =>
    conflicts.every(one => one.region !== region || one.stream !== stream)
  const noteIn = (region: string) => (applied: Applied) => onApplied({ region, ...applied })
  const existing = []
  for (const one of regions) {
    const { name } = one.region
    const free = comparedWith(one, false).filter(({ defined }) => isFree(name, defined.name))
    existing.push({ one, compared: await createMissing(one.manager, free, noteIn(name)) })
  }
  refuseConflicts(conflicts)
  const mirrors = regions.map(one => ({ one, compared: comparedWith(one, true) }))
  refuseLoss(
    [...existing, ...mirrors].flatMap(({ compared }) => compared.flatMap(({ changes }) => changes)),
    allowLoss,
  )
  for (const { one, compared } of existing)
    await updateStreams(one.manager, compared, noteIn(one.region.name))
  for (const { one, compared } of mirrors)
    for (const mirror of compared) {
      const change = consumers.find(
        ({ mirror: its, stream }) => its === one && stream === mirror.defined.name,
      )
      if (change !== undefined) await applyConsumer(change)
      const note = (applied: Applied): void =>
        onApplied({
          region: one.region.name,
          ...applied,
          ...(change !== undefined && applied.outcome === 'unchanged'
            ? { outcome: 'updated', changed: [consumerField(change)] }
            : {}),
        })
      await updateStreams(one.manager, await createMissing(one.manager, [mirror], note), note)
    }
  await writePromises(await readPromises(open), promises.wanted)
}
