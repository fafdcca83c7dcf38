import { jetstreamManager } from '@nats-io/jetstream'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import type { OpenRegion } from './open-region.ts'
import { newestPromises, readPromises, withPromises } from './promises.ts'
import { grantSubject, promisesStreamName } from './promises-stream.ts'
import { familyOf, type Placement, placementOf, type Topology } from './topology.ts'

/** The positions of a stream before its home changes. */
export interface PlannedStream {
  readonly stream: string
  /** The home of now. */
  readonly from: string
  readonly epoch: number
  /** Last sequence of the mirror that becomes the home. Undefined when the region has no copy. */
  readonly last: number | undefined
  /** Last sequence of the home: its own, or what its commands nodes said last. Undefined when neither is known. */
  readonly homeLast: number | undefined
  /** The mirror that has more than this one, of the regions that answer. */
  readonly further: { readonly region: string; readonly last: number } | undefined
}

/** Thrown when a region cannot become the home of a stream. */
export class PlacementError extends Error {}

const timeout = 2_000

const lastIn = async ({ nats }: OpenRegion, stream: string): Promise<number | undefined> => {
  try {
    const manager = await jetstreamManager(nats.connection, { checkAPI: false, timeout })
    return (await manager.streams.info(stream)).state.last_seq
  } catch {
    return undefined
  }
}

interface Grant {
  readonly last?: Readonly<Record<string, number>>
}

/** Returns the sequences that commands nodes have acknowledged last, as a region knows them. */
const grantedIn = async ({ region, nats }: OpenRegion): Promise<Grant[]> => {
  const grants: Grant[] = []
  try {
    const manager = await jetstreamManager(nats.connection, { checkAPI: false, timeout })
    const found = await manager.direct.getLastMessagesFor(promisesStreamName, {
      multi_last: [grantSubject(region.name, '*')],
    })
    for await (const message of found) grants.push(message.json<Grant>())
  } catch {
    // No grants, or no answer.
  }
  return grants
}

const checkPlace = (stream: string, { home, mirrors, zone }: Placement, to: string): void => {
  if (home === to) throw new PlacementError(`${to} is the home of ${stream} already`)
  if (!mirrors.includes(to))
    throw new PlacementError(
      `${to} holds no copy of ${stream}${zone === undefined ? '' : `, which is of the zone ${zone}`}: ${mirrors.length === 0 ? 'it has no mirrors' : `its mirrors are in ${mirrors.join(', ')}`}`,
    )
}

/** Returns the streams of the log that have another home than `region`, in a topology of several regions. */
export const streamsElsewhere = async (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  open: readonly OpenRegion[],
  region: string,
): Promise<string[]> => {
  const current = withPromises(topology, definitions, newestPromises(await readPromises(open)))
  return definitions
    .filter(definition => familyOf(definition) !== undefined)
    .filter(definition => placementOf(current, definition)?.home !== region)
    .map(({ name }) => name)
}

/**
 * Returns the positions of streams before `to` becomes their home. Throws PlacementError when `to` cannot, or is, their
 * home.
 */
export const planChange = async (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  open: readonly OpenRegion[],
  streams: readonly string[],
  to: string,
): Promise<PlannedStream[]> => {
  const current = withPromises(topology, definitions, newestPromises(await readPromises(open)))
  const grants = (await Promise.all(open.map(grantedIn))).flat()
  return await Promise.all(
    streams.map(async (stream): Promise<PlannedStream> => {
      const placement = current.placements.get(stream)
      if (placement === undefined) throw new PlacementError(`${stream} is no stream of the log`)
      checkPlace(stream, placement, to)
      const copies = await Promise.all(
        open
          .filter(({ region }) => !region.isWitness)
          .map(async one => ({ region: one.region.name, last: await lastIn(one, stream) })),
      )
      const lastOf = (region: string): number | undefined => copies.find(one => one.region === region)?.last
      const last = lastOf(to)
      const known = [lastOf(placement.home), ...grants.map(grant => grant.last?.[stream])]
      const homeLast = known.reduce(
        (most, one) => (one === undefined ? most : Math.max(most ?? 0, one)),
        undefined,
      )
      const further = copies
        .filter(({ region }) => region !== to && placement.mirrors.includes(region))
        .find(one => (one.last ?? 0) > (last ?? 0))
      return {
        stream,
        from: placement.home,
        epoch: placement.epoch,
        last,
        homeLast,
        further: further?.last === undefined ? undefined : { region: further.region, last: further.last },
      }
    }),
  )
}
