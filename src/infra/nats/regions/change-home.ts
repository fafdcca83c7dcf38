import type { JetStreamManager } from '@nats-io/jetstream'
import { sleep } from '../../../base/sleep.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { infoOf, openManager } from '../log/streams.ts'
import type { OpenRegion } from './open-region.ts'
import {
  majorityOf,
  newestPromises,
  type Promises,
  readPromises,
  withPromises,
  writePromises,
} from './promises.ts'
import {
  type DoneStep,
  NoMajorityError,
  OperationRunningError,
  type RegionJournal,
  type RegionOperation,
  type RegionStep,
} from './region-journal.ts'
import { streamsIn } from './region-streams.ts'
import { replaceMirror } from './replace-mirror.ts'
import { existing, freeze, isFrozen, promote, sharedMetadata, storeMarker, unfreeze } from './stream-moves.ts'
import type { Topology } from './topology.ts'

export interface ChangeHomeOptions {
  /** The topology as its file has it. */
  readonly topology: Topology
  readonly definitions: readonly StreamDefinition[]
  /** The regions that answer. */
  readonly open: readonly OpenRegion[]
  /** The journal, in which the operation has begun. */
  readonly journal: RegionJournal
  /** Stops the operation before its next step, but not while a stream refuses writes. */
  readonly signal?: AbortSignal | undefined
  /** Called at the start of each step. */
  readonly onStep?: ((step: RegionStep, streams: readonly string[]) => void) | undefined
}

/** Thrown when a mirror does not follow its home. The operation may be repeated. */
export class MirrorTooFarBehindError extends Error {}

/** Time in which a mirror has to receive the end of a frozen stream, ms. Otherwise the old home takes events again. */
const maxFrozenMs = 3_000
const pollMs = 10
/** Time without a message after which a mirror counts as stalled, ms. */
const stalledMs = 30_000
/** Messages by which a mirror may be behind when its home is frozen. */
const nearEvents = 500

interface OpenPlace extends OpenRegion {
  readonly manager: JetStreamManager
}

/**
 * Changes the home of streams: a failover, after which the old home may have events that are lost, or a switch-over,
 * after which nothing is lost. Each step looks at the streams first, so each may be repeated. Steps that refuse writes
 * run for all streams at once. Throws NatsError, MirrorTooFarBehindError, OperationRunningError, NoMajorityError, and
 * the reason of `signal`.
 */
export class HomeChange {
  readonly #options: ChangeHomeOptions
  readonly #places = new Map<string, OpenPlace>()

  private constructor(options: ChangeHomeOptions) {
    this.#options = options
  }

  static async open(options: ChangeHomeOptions): Promise<HomeChange> {
    const change = new HomeChange(options)
    for (const one of options.open)
      change.#places.set(one.region.name, { ...one, manager: await openManager(one.nats.connection) })
    return change
  }

  async run(): Promise<RegionOperation> {
    if (this.#operation.kind === 'failover') await this.#failover()
    else await this.#switchOver()
    await this.#each('re-mirror', stream => this.#replaceMirrors(stream))
    await this.#options.journal.record(() => ({ isDone: true }))
    return this.#operation
  }

  get #operation(): RegionOperation {
    return this.#options.journal.current
  }

  async #failover(): Promise<void> {
    const { timeMs, guardMs } = this.#options.topology.lease
    const old = await this.#oldHomes()
    await this.#together('raise', () => this.#raise())
    await this.#each('wait', async stream => {
      // An old home that answers refuses writers at once. One that does not answer: its writers' leases end.
      const home = this.#places.get(old.get(stream) ?? '')
      if (home !== undefined && home.region.name !== this.#operation.fenced)
        void freeze(home.manager, stream).catch(() => {})
      await sleep(timeMs + guardMs)
    })
    await this.#each('promote', stream => this.#promote(stream))
    await this.#each('open', stream => this.#checkOpen(stream))
  }

  async #switchOver(): Promise<void> {
    const old = await this.#oldHomes()
    const isRaised = this.#operation.epoch !== undefined && (await this.#hasRaised())
    if (!isRaised) {
      this.#options.signal?.throwIfAborted()
      await Promise.all(
        this.#operation.streams.map(stream => this.#untilNear(stream, this.#home(old, stream))),
      )
      this.#options.signal?.throwIfAborted()
    }
    const frozenAt = performance.now()
    try {
      if (!isRaised) await this.#drain(old)
      await this.#together('promote', async () => {
        await this.#raise()
        await Promise.all(this.#operation.streams.map(stream => this.#promote(stream)))
      })
    } catch (error) {
      // No stream shall stay without a home. A process that was taken over leaves it to its successor.
      if (!(error instanceof OperationRunningError)) await this.#undo(old).catch(() => {})
      throw error
    }
    const refusedMs = Math.ceil(performance.now() - frozenAt)
    await this.#options.journal.record(({ streams, refusedMs: before }) => ({
      refusedMs: { ...Object.fromEntries(streams.map(stream => [stream, refusedMs])), ...before },
    }))
    await this.#each('open', stream => this.#checkOpen(stream))
  }

  /** Freezes the old homes, and waits until the mirrors have all of their events. */
  async #drain(old: ReadonlyMap<string, string>): Promise<void> {
    await this.#each('freeze', stream => freeze(this.#home(old, stream).manager, stream))
    const ends = new Map<string, number>()
    await this.#each('marker', async stream => {
      const { nats, manager } = this.#home(old, stream)
      ends.set(stream, await storeMarker(nats, manager, stream))
    })
    await this.#each('wait', async stream => {
      const end = ends.get(stream) ?? 0
      for (const until = performance.now() + maxFrozenMs; ; await sleep(pollMs)) {
        const { state } = await existing(this.#target.manager, stream)
        if (state.last_seq >= end) return
        if (performance.now() > until)
          throw new MirrorTooFarBehindError(
            `the mirror of ${stream} in ${this.#operation.to} has ${state.last_seq} of ${end} messages ${maxFrozenMs} ms after the home was frozen`,
          )
      }
    })
  }

  /** Lets the old homes take events again, unless the promises name the new one. */
  async #undo(old: ReadonlyMap<string, string>): Promise<void> {
    if (await this.#hasRaised()) return
    const { streams } = newestPromises(await readPromises(this.#options.open))
    for (const stream of this.#operation.streams) {
      const home = this.#home(old, stream)
      const info = await infoOf(home.manager, stream)
      const epoch = streams[stream]?.epoch
      if (info !== undefined && epoch !== undefined && isFrozen(info))
        await unfreeze(home.manager, stream, epoch)
    }
  }

  async #untilNear(stream: string, home: OpenPlace): Promise<void> {
    let last = -1
    let movedAt = performance.now()
    for (;;) {
      const [origin, mirror] = await Promise.all([
        existing(home.manager, stream),
        existing(this.#target.manager, stream),
      ])
      const has = mirror.state.last_seq
      this.#options.signal?.throwIfAborted()
      if (has + nearEvents >= origin.state.last_seq) return
      if (has > last) movedAt = performance.now()
      last = has
      if (performance.now() - movedAt > stalledMs)
        throw new MirrorTooFarBehindError(
          `the mirror of ${stream} in ${this.#operation.to} does not follow: it has ${has} of ${origin.state.last_seq} messages`,
        )
      await sleep(10 * pollMs)
    }
  }

  get #target(): OpenPlace {
    return this.#place(this.#operation.to)
  }

  #place(region: string): OpenPlace {
    const place = this.#places.get(region)
    if (place !== undefined) return place
    throw new NatsError(NatsProblem.failed, `region ${region} does not answer`)
  }

  #home(old: ReadonlyMap<string, string>, stream: string): OpenPlace {
    return this.#place(old.get(stream) ?? '')
  }

  /** Returns the region that was the home of each stream before the operation. */
  async #oldHomes(): Promise<ReadonlyMap<string, string>> {
    const { streams } = await this.#promisesBefore()
    return new Map(this.#operation.streams.map(stream => [stream, streams[stream]?.home ?? '']))
  }

  /** The promises as they were before this operation raised them. */
  async #promisesBefore(): Promise<Promises> {
    const { epoch, before } = this.#operation
    const newest = newestPromises(await readPromises(this.#options.open))
    return epoch !== undefined && newest.counter >= epoch
      ? { ...newest, streams: { ...newest.streams, ...before } }
      : newest
  }

  /** Whether some region has the promises of this operation. */
  async #hasRaised(): Promise<boolean> {
    const { epoch, streams } = this.#operation
    if (epoch === undefined) return false
    const newest = newestPromises(await readPromises(this.#options.open))
    return streams.every(stream => newest.streams[stream]?.epoch === epoch)
  }

  /** Writes the new home of all streams in a majority of the regions. */
  async #raise(): Promise<void> {
    const { topology, journal } = this.#options
    const { streams, to, fenced } = this.#operation
    const regions = (await readPromises(this.#options.open)).filter(({ region }) => region.name !== fenced)
    const newest = newestPromises(regions)
    const { epoch = newest.counter + 1 } = this.#operation
    if (this.#operation.epoch === undefined)
      await journal.record(() => ({
        epoch,
        before: Object.fromEntries(
          streams.flatMap(stream => {
            const promise = newest.streams[stream]
            return promise === undefined ? [] : [[stream, promise] as const]
          }),
        ),
      }))
    const raised = Object.fromEntries(streams.map(stream => [stream, { epoch, home: to }]))
    const written = await writePromises(regions, {
      counter: epoch,
      streams: { ...newest.streams, ...raised },
    })
    const needed = majorityOf(topology.regions.length - (fenced === undefined ? 0 : 1))
    if (written.length < needed)
      throw new NoMajorityError(
        `${written.length} of ${needed} regions that are needed have the new promise: repair the links, or name the region that is off with --fenced`,
      )
  }

  async #promote(stream: string): Promise<void> {
    const { epoch = 0, to } = this.#operation
    const home = (await this.#wanted(to)).find(({ definition }) => definition.name === stream)
    if (home?.role !== 'home') throw new NatsError(NatsProblem.streams, `${stream} has no mirror in ${to}`)
    const cut = await promote(this.#target.manager, home.definition, epoch)
    await this.#options.journal.record(before => ({ cut: { ...before.cut, [stream]: cut } }))
  }

  async #checkOpen(stream: string): Promise<void> {
    const { config } = await existing(this.#target.manager, stream)
    if (config.mirror !== undefined)
      throw new NatsError(NatsProblem.streams, `${stream} in ${this.#operation.to} is still a mirror`)
  }

  /** The streams of a region as the promises want them now. */
  async #wanted(region: string) {
    const { topology, definitions, open } = this.#options
    const current = withPromises(topology, definitions, newestPromises(await readPromises(open)))
    return streamsIn(current, definitions, this.#place(region).region)
  }

  /** Makes the streams of the other regions mirrors of the new home. A region that is away does it when it rejoins. */
  async #replaceMirrors(stream: string): Promise<void> {
    const { to, kind, cut } = this.#operation
    const { config } = await existing(this.#target.manager, stream)
    for (const place of this.#places.values()) {
      const { name, isWitness } = place.region
      if (isWitness || name === to || name === this.#operation.fenced) continue
      const wanted = (await this.#wanted(name)).find(({ definition }) => definition.name === stream)
      if (wanted?.role !== 'mirror') continue
      const info = await infoOf(place.manager, stream)
      const origin = info?.config.mirror?.external?.api
      if (origin !== undefined && origin === wanted.definition.mirror?.external?.api) continue
      const isOldHome = info !== undefined && info.config.mirror === undefined
      // The old home of a failover keeps its events until "region rejoin" has listed those that are lost.
      if (kind === 'failover' && isOldHome) continue
      await replaceMirror(this.#target, place, {
        mirror: wanted.definition,
        metadata: sharedMetadata(config),
        region: name,
        keepsEvents: info !== undefined && info.state.last_seq <= (cut[stream] ?? 0),
      })
    }
  }

  /** Runs a step for all streams at once, and records it for each. */
  #together(step: RegionStep, run: () => Promise<void>): Promise<void> {
    const { streams } = this.#operation
    let shared: Promise<void> | undefined
    return this.#each(
      step,
      () => {
        shared ??= run()
        return shared
      },
      streams,
    )
  }

  async #each(
    step: RegionStep,
    run: (stream: string) => Promise<void>,
    streams: readonly string[] = this.#operation.streams,
  ): Promise<void> {
    const { journal, onStep, signal } = this.#options
    if (step !== 'promote' && step !== 'marker' && step !== 'wait' && step !== 'freeze')
      signal?.throwIfAborted()
    onStep?.(step, streams)
    const done: DoneStep[] = []
    const results = await Promise.allSettled(
      streams.map(async stream => {
        const [at, from] = [Date.now(), performance.now()]
        const end = (result: DoneStep['result']): void => {
          done.push({ stream, step, at, ms: Math.round(performance.now() - from), result })
        }
        try {
          await run(stream)
          end('done')
        } catch (error) {
          end('failed')
          throw error
        }
      }),
    )
    const failed = results.find(one => one.status === 'rejected')
    const record = journal.record(({ steps }) => ({ steps: [...steps, ...done] }))
    if (failed === undefined) return await record
    await record.catch(() => {})
    throw failed.reason
  }
}
