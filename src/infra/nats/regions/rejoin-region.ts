import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { cutsIn, epochIn } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { infoOf, openManager } from '../log/streams.ts'
import { saveLostEvents } from './lost-events.ts'
import type { OpenRegion } from './open-region.ts'
import { newestPromises, readPromises, withPromises, writePromises } from './promises.ts'
import type { DoneStep, RegionJournal, RegionOperation, RegionStep, rejoinSteps } from './region-journal.ts'
import { streamsIn } from './region-streams.ts'
import { replaceMirror } from './replace-mirror.ts'
import { existing, freeze, sharedMetadata } from './stream-moves.ts'
import type { Topology } from './topology.ts'

export interface RejoinOptions {
  readonly topology: Topology
  readonly definitions: readonly StreamDefinition[]
  readonly open: readonly OpenRegion[]
  readonly journal: RegionJournal
  readonly signal?: AbortSignal | undefined
  readonly onStep?: ((step: RegionStep, streams: readonly string[]) => void) | undefined
}

/** A stream of a region that is no mirror of its home. */
export interface OutdatedStream {
  readonly stream: string
  readonly home: string
  /** Last sequence in the region. */
  readonly last: number
  /** Last sequence that the home has too, if the region was a home before. Undefined: it is a mirror of such a home. */
  readonly cut: number | undefined
}

const find = (open: readonly OpenRegion[], name: string): OpenRegion => {
  const found = open.find(({ region }) => region.name === name)
  if (found !== undefined) return found
  throw new NatsError(NatsProblem.failed, `region ${name} does not answer`)
}

/** Returns the streams of a region that are to become mirrors of homes in other regions. Throws NatsError. */
export const outdatedStreams = async (
  topology: Topology,
  definitions: readonly StreamDefinition[],
  open: readonly OpenRegion[],
  name: string,
): Promise<OutdatedStream[]> => {
  const own = find(open, name)
  const current = withPromises(topology, definitions, newestPromises(await readPromises(open)))
  const manager = await openManager(own.nats.connection)
  const outdated: OutdatedStream[] = []
  for (const { definition, role, placement } of streamsIn(current, definitions, own.region)) {
    if (role !== 'mirror' || placement === undefined) continue
    const info = await infoOf(manager, definition.name)
    if (info === undefined) continue
    const api = info.config.mirror?.external?.api
    if (api !== undefined && api === definition.mirror?.external?.api) continue
    const homeManager = await openManager(find(open, placement.home).nats.connection)
    const home = await existing(homeManager, definition.name)
    const epoch = epochIn(info.config)
    // The first change after the epoch in which this region took events.
    const cut = cutsIn(home.config).find(one => one.epoch > epoch)?.streamSeq
    outdated.push({ stream: definition.name, home: placement.home, last: info.state.last_seq, cut })
  }
  return outdated
}

/**
 * Brings a region back whose streams have their homes in other regions now: makes its streams refuse events, saves
 * those that the new homes lack, and makes the streams mirrors. May be repeated. Throws NatsError,
 * OperationRunningError, NoMajorityError, and the reason of `signal`.
 */
export const rejoinRegion = async ({
  topology,
  definitions,
  open,
  journal,
  signal,
  onStep,
}: RejoinOptions): Promise<RegionOperation> => {
  const name = journal.current.to
  const own = find(open, name)
  const manager = await openManager(own.nats.connection)
  const outdated = await outdatedStreams(topology, definitions, open, name)
  const run = async (step: (typeof rejoinSteps)[number], work: (one: OutdatedStream) => Promise<void>) => {
    signal?.throwIfAborted()
    onStep?.(
      step,
      outdated.map(({ stream }) => stream),
    )
    for (const one of outdated) {
      const [at, from] = [Date.now(), performance.now()]
      const record = (result: DoneStep['result']): Promise<void> =>
        journal.record(({ steps }) => ({
          steps: [
            ...steps,
            { stream: one.stream, step, at, ms: Math.round(performance.now() - from), result },
          ],
        }))
      try {
        await work(one)
      } catch (error) {
        await record('failed').catch(() => {})
        throw error
      }
      await record('done')
    }
  }
  const homeOf = async ({ home }: OutdatedStream) => {
    const { nats } = find(open, home)
    return { nats, manager: await openManager(nats.connection) }
  }
  const regions = await readPromises(open)
  await writePromises(regions, newestPromises(regions))
  await run('fence', async ({ stream }) => {
    const { config } = await existing(manager, stream)
    if (config.mirror === undefined) await freeze(manager, stream)
  })
  await run('save', async one => {
    const { stream, cut } = one
    const { config, state } = await existing(manager, stream)
    if (config.mirror !== undefined || cut === undefined) return
    const home = await homeOf(one)
    const { config: ofHome } = await existing(home.manager, stream)
    const epoch = cutsIn(ofHome).find(entry => entry.epoch > epochIn(config))?.epoch ?? 0
    const lost = await saveLostEvents({ nats: own.nats, manager }, home, {
      stream,
      epoch,
      cut,
      last: state.last_seq,
    })
    await journal.record(before => ({
      cut: { ...before.cut, [stream]: cut },
      homeLast: { ...before.homeLast, [stream]: cut + lost },
    }))
  })
  const current = withPromises(topology, definitions, newestPromises(await readPromises(open)))
  const wanted = streamsIn(current, definitions, own.region)
  await run('re-mirror', async one => {
    const mirror = wanted.find(({ definition }) => definition.name === one.stream)?.definition
    if (mirror === undefined) return
    const home = await homeOf(one)
    const { config } = await existing(home.manager, one.stream)
    const { state } = await existing(manager, one.stream)
    await replaceMirror(
      home,
      { nats: own.nats, manager },
      {
        mirror,
        metadata: sharedMetadata(config),
        region: name,
        keepsEvents: one.cut !== undefined && state.last_seq <= one.cut,
      },
    )
  })
  await journal.record(() => ({ isDone: true }))
  return journal.current
}
