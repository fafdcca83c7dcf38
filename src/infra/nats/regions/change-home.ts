import type { JetStreamManager } from '@nats-io/jetstream'
import { sleep } from '../../../base/sleep.ts'
import { settlesWithin } from '../../../base/timeout.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { epochIn } from '../log/log-layout.ts'
import type { StreamDefinition } from '../log/stream-definitions.ts'
import { infoOf, openManager } from '../log/streams.ts'
import type { OpenRegion } from './open-region.ts'
import {
  majorityOf,
  newestPromises,
  type Promises,
  type RegionPromises,
  readPromises,
  withPromises,
} from './promises.ts'
import { raisePromises } from './raise-promises.ts'
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
  /** The regions that may answer. */
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
/** Time in which a region has to answer before the change begins without it, ms. */
const openMs = 5_000
/** Time for which steps are tried again while a stream has no home, ms. */
const repeatMs = 15_000
const repeatPauseMs = 250
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

  /** Opens the regions. A region that does not answer within 5 s takes no part. */
  static async open(options: ChangeHomeOptions): Promise<HomeChange> {
    const change = new HomeChange(options)
    await Promise.all(
      options.open.map(async one => {
        const manager = openManager(one.nats.connection).catch(() => undefined)
        const opened = (await settlesWithin(openMs, manager)) ? await manager : undefined
        if (opened !== undefined) change.#places.set(one.region.name, { ...one, manager: opened })
      }),
    )
    return change
  }

  async run(): Promise<RegionOperation> {
    if (this.#operation.kind === 'failover') await this.#failover()
    else await this.#switchOver()
    await this.#each('re-mirror', stream => this.#replaceMirrors(stream))
    await this.#options.journal.record(() => ({ isDone: true }))
    return this.#operation
  }

  /**
   * Ends a switch-over whose new home is lost: the old homes take events again. Throws NatsError when the promises name
   * the new home already, and as `run` does.
   */
  async giveUp(): Promise<void> {
    const { streams, to } = this.#operation
    const newest = newestPromises(await this.#readPromises())
    if (streams.some(stream => newest.streams[stream]?.home === to))
      throw new NatsError(
        NatsProblem.failed,
        `${to} does not answer, and is promised to be the home of ${streams.join(', ')}: make another region the home with "confab region failover"`,
      )
    await this.#unfreeze(await this.#oldHomes())
    await this.#options.journal.record(() => ({ isDone: true }))
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
      if (home !== undefined && !this.#isFenced(home.region.name))
        void freeze(home.manager, stream, this.#operation.epoch).catch(() => {})
      await sleep(timeMs + guardMs)
    })
    await this.#each('promote', stream => this.#repeated(() => this.#promote(stream)))
    await this.#each('open', stream => this.#checkOpen(stream))
  }

  async #switchOver(): Promise<void> {
    const { signal, journal } = this.#options
    const old = await this.#oldHomes()
    const { isDrained } = this.#operation
    if (!isDrained) {
      signal?.throwIfAborted()
      await Promise.all(
        this.#operation.streams.map(stream => this.#untilNear(stream, this.#home(old, stream))),
      )
      signal?.throwIfAborted()
      // Another process may have finished the operation since, and a home may be frozen that has to stay.
      await journal.record()
    }
    const frozenAt = performance.now()
    if (!isDrained)
      try {
        await this.#drain(old)
      } catch (error) {
        await this.#undo(old, error)
      }
    // From here on the new home is the only one that can take events.
    await this.#together('promote', () =>
      this.#repeated(async () => {
        await this.#raise()
        await Promise.all(this.#operation.streams.map(stream => this.#promote(stream)))
      }),
    )
    const refusedMs = Math.ceil(performance.now() - frozenAt)
    await journal.record(({ streams, refusedMs: before }) => ({
      refusedMs: { ...Object.fromEntries(streams.map(stream => [stream, refusedMs])), ...before },
    }))
    await this.#each('open', stream => this.#checkOpen(stream))
  }

  /** Freezes the old homes, and waits until the mirrors have all of their events. */
  async #drain(old: ReadonlyMap<string, string>): Promise<void> {
    const { streams } = await this.#promisesBefore()
    await this.#each('freeze', stream =>
      freeze(this.#home(old, stream).manager, stream, streams[stream]?.epoch),
    )
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
    await this.#options.journal.record(() => ({ isDrained: true }))
  }

  /**
   * Lets the old homes take events again: no stream shall stay without a home. A process that was taken over leaves it
   * to its successor, for which the end of the old homes may count already. Throws `cause`, or an error that says which
   * streams take no events.
   */
  async #undo(old: ReadonlyMap<string, string>, cause: unknown): Promise<never> {
    if (cause instanceof OperationRunningError) throw cause
    try {
      await this.#repeated(() => this.#unfreeze(old))
    } catch (error) {
      if (error instanceof OperationRunningError) throw error
      const names = this.#operation.streams.join(', ')
      throw new NatsError(
        NatsProblem.streams,
        `${(cause as Error).message}; ${names} may take no events before --resume: ${(error as Error).message}`,
        cause,
      )
    }
    throw cause
  }

  async #unfreeze(old: ReadonlyMap<string, string>): Promise<void> {
    await this.#options.journal.record(() => ({ isDrained: false }))
    for (const stream of this.#operation.streams) {
      const { manager } = this.#home(old, stream)
      const { config } = await existing(manager, stream)
      if (isFrozen(config)) await unfreeze(manager, stream, epochIn(config))
    }
  }

  /** Runs a step that has to be finished, since a stream has no home until then. Repeats it for 15 s after errors. */
  async #repeated(run: () => Promise<void>): Promise<void> {
    for (const until = performance.now() + repeatMs; ; await sleep(repeatPauseMs))
      try {
        return await run()
      } catch (error) {
        if (error instanceof OperationRunningError || performance.now() > until) throw error
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
    const newest = newestPromises(await this.#readPromises())
    return { ...newest, streams: { ...newest.streams, ...this.#operation.before } }
  }

  /** Reads the promises of the regions that answer. Throws NoMajorityError when newer ones may be elsewhere. */
  async #readPromises(): Promise<RegionPromises[]> {
    const places = [...this.#places.values()].filter(({ region }) => !this.#isFenced(region.name))
    const regions = await readPromises(places)
    if (regions.length >= this.#needed) return regions
    throw new NoMajorityError(
      `${regions.length} of ${this.#needed} regions that are needed have answered with their promises`,
    )
  }

  /** Number of regions that are a majority. */
  get #needed(): number {
    const { fenced = [] } = this.#operation
    return majorityOf(this.#options.topology.regions.length - fenced.length)
  }

  #isFenced(region: string): boolean {
    return this.#operation.fenced?.includes(region) === true
  }

  async #raise(): Promise<void> {
    await raisePromises(this.#options.journal, await this.#readPromises(), this.#needed)
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
    const { topology, definitions } = this.#options
    const current = withPromises(topology, definitions, newestPromises(await this.#readPromises()))
    return streamsIn(current, definitions, this.#place(region).region)
  }

  /** Makes the streams of the other regions mirrors of the new home. A region that is away does it when it rejoins. */
  async #replaceMirrors(stream: string): Promise<void> {
    const { to, kind, cut } = this.#operation
    const { config } = await existing(this.#target.manager, stream)
    for (const place of this.#places.values()) {
      const { name, isWitness } = place.region
      if (isWitness || name === to || this.#isFenced(name)) continue
      const wanted = (await this.#wanted(name)).find(({ definition }) => definition.name === stream)
      if (wanted?.role !== 'mirror') continue
      const info = await infoOf(place.manager, stream)
      const origin = info?.config.mirror?.external?.api
      if (origin !== undefined && origin === wanted.definition.mirror?.external?.api) continue
      const isOldHome = info !== undefined && info.config.mirror === undefined
      // The old home of a failover keeps its events until "region rejoin" has listed those that are lost.
      if (kind === 'failover' && isOldHome) continue
      // Another process may have finished the operation since, and have changed the home again.
      await this.#options.journal.record()
      await replaceMirror(this.#target, place, {
        mirror: wanted.definition,
        metadata: sharedMetadata(config),
        region: name,
        keepsUpTo: cut[stream] ?? 0,
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
