import { isDeepStrictEqual } from 'node:util'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import type { OpenRegion } from './open-region.ts'
import { readDocument, replaceDocument, type StoredDocument } from './promise-document.ts'
import { promisesSubject } from './promises-stream.ts'
import { familyOf, isOneRegion, type Placement, placementOf, type Topology } from './topology.ts'

/** The home of a stream. */
export interface HomePromise {
  readonly epoch: number
  readonly home: string
}

/** The homes of all streams, as an operator has written them last in a region. The document is never lowered. */
export interface Promises {
  /** Rises with each change, and numbers the epochs of all streams. */
  readonly counter: number
  /** By name of the stream. */
  readonly streams: Readonly<Record<string, HomePromise>>
  /** Regions that an operator vouched are off: they count for no majority until they rejoin. */
  readonly fenced?: readonly string[]
}

/** The promises of a region that was asked. */
export interface RegionPromises extends OpenRegion {
  readonly stored: StoredDocument<Promises>
}

/** Number of regions that are more than half of them. */
export const majorityOf = (regions: number): number => Math.floor(regions / 2) + 1

/** Reads the promises of the regions that answer. Never rejects. */
export const readPromises = async (
  open: readonly OpenRegion[],
  timeoutMs?: number,
): Promise<RegionPromises[]> => {
  const read = await Promise.allSettled(
    open.map(one => readDocument<Promises>(one.nats, promisesSubject(one.region.name), timeoutMs)),
  )
  return open.flatMap((one, index) => {
    const result = read[index]
    return result?.status === 'fulfilled' ? [{ ...one, stored: result.value }] : []
  })
}

/** Returns the promises with the greatest counter; those of a new system when there are none. */
export const newestOf = (promises: readonly (Promises | undefined)[]): Promises =>
  promises.reduce<Promises>(
    (newest, one) => (one !== undefined && one.counter > newest.counter ? one : newest),
    { counter: 0, streams: {} },
  )

/** Returns the newest promises of regions. */
export const newestPromises = (regions: readonly RegionPromises[]): Promises =>
  newestOf(regions.map(({ stored }) => stored.value))

/**
 * Returns the promises that a new system begins with, or a system whose topology has new streams. Undefined when every
 * stream has one.
 */
export const firstPromises = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  before: Promises,
): Promises | undefined => {
  const missing = definitions.flatMap(definition => {
    const placement = placementOf(topology, definition)
    return placement === undefined || before.streams[definition.name] !== undefined
      ? []
      : [[definition.name, { epoch: placement.epoch, home: placement.home }] as const]
  })
  if (missing.length === 0) return undefined
  return {
    ...before,
    counter: before.counter + 1,
    streams: { ...before.streams, ...Object.fromEntries(missing) },
  }
}

/**
 * Returns a topology with the homes and the epochs of the promises. The other regions of a stream are its mirrors, also
 * its first home. Placements are by name of the stream.
 */
export const withPromises = (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  { streams }: Promises,
): Topology => {
  if (isOneRegion(topology)) return topology
  const placements = new Map<string, Placement>()
  for (const definition of definitions) {
    const placement = familyOf(definition) && placementOf(topology, definition)
    if (placement === undefined) continue
    const { home, epoch } = streams[definition.name] ?? placement
    const mirrors = [placement.home, ...placement.mirrors].filter(region => region !== home)
    placements.set(definition.name, { ...placement, home, epoch, mirrors })
  }
  return { ...topology, placements }
}

/**
 * Writes promises to each region whose own are older. Returns the regions that have them now. Throws NatsError when an
 * operator wrote others meanwhile.
 */
export const writePromises = async (
  regions: readonly RegionPromises[],
  next: Promises,
): Promise<string[]> => {
  const written = await Promise.allSettled(
    regions.map(async ({ region, nats, stored }) => {
      const { value, seq } = stored
      if (value !== undefined && value.counter >= next.counter)
        return isDeepStrictEqual(value, next) ? 'written' : 'changed'
      const stays = await replaceDocument(nats, promisesSubject(region.name), next, seq)
      return stays === undefined ? 'changed' : 'written'
    }),
  )
  if (written.some(one => one.status === 'fulfilled' && one.value === 'changed'))
    throw new NatsError(NatsProblem.failed, 'another operator changes the homes of streams: try again')
  return regions.filter((_, index) => written[index]?.status === 'fulfilled').map(({ region }) => region.name)
}
