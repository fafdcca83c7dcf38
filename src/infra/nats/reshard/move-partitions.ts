import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { sleep } from '../../../base/sleep.ts'
import { type Family, Header, markerType, partitionOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { NatsError, NatsProblem } from '../client/nats-error.ts'
import { isRefusal, readAck } from '../client/publish-ack.ts'
import { OriginMetadata } from '../log/log-layout.ts'
import { infoOf } from '../log/streams.ts'
import type { MoveStep } from './move-steps.ts'
import { OperationTakenError } from './operation-journal.ts'
import { indexOf, type PartitionMove, partitionsIn } from './plan-moves.ts'

export interface MoveOptions {
  readonly nats: Nats
  readonly manager: JetStreamManager
  readonly family: Family
  /** Called before each step. A rejection ends the move there. */
  readonly onStep: (step: MoveStep) => Promise<void> | void
  /** Stops the move, but not while the partitions are cut off. */
  readonly signal?: AbortSignal
  /** Messages by which the mirror may be behind when the partitions are cut off. */
  readonly nearEvents?: number
}

/** Thrown when a mirror does not follow its origin. The move may be repeated. */
export class MirrorBehindError extends Error {}

export interface MovedPartitions {
  /** Time for which the partitions refused writes, at most, ms. Undefined when an earlier run cut them off. */
  readonly refusedMs: number | undefined
}

const defaultNearEvents = 200
const pollMs = 10
/**
 * The mirror has to have everything this long after the cut. Otherwise the old stream takes its partitions back, ms.
 */
const maxCutMs = 700
const maxAttempts = 5
/** Time without progress after which a mirror counts as stalled, ms. */
const stalledMs = 30_000

/**
 * Moves partitions of a family to a stream that is added: mirrors the old stream, cuts the partitions off, waits until
 * the mirror has everything, and promotes it. The old stream keeps its copies of the events. Reads where an earlier run
 * ended from the streams, so it may be repeated after any step. Throws NatsError.
 */
export class PartitionMover {
  readonly #options: MoveOptions
  readonly #move: PartitionMove

  constructor(move: PartitionMove, options: MoveOptions) {
    this.#move = move
    this.#options = options
  }

  async run(): Promise<MovedPartitions> {
    const target = await this.#info(this.#move.to)
    if (target !== undefined && target.config.mirror?.name !== this.#move.from) {
      if (this.#takes(target)) return { refusedMs: undefined }
      throw new NatsError(
        NatsProblem.streams,
        `a stream ${this.#move.to} exists, and is no mirror of ${this.#move.from}: rename or remove it first`,
      )
    }
    if (target === undefined) await this.#mirror()
    for (let attempts = maxAttempts; attempts > 0; attempts--) {
      await this.#near()
      const isCut = !this.#takes(await this.#origin())
      const cutAt = performance.now()
      try {
        if (!isCut) await this.#cut()
        if (await this.#promote(isCut)) return { refusedMs: isCut ? undefined : performance.now() - cutAt }
      } catch (error) {
        // The partitions shall not stay without a stream. The server refuses it where the mirror is promoted. A process
        // that was taken over leaves it to its successor.
        if (!(error instanceof OperationTakenError)) await this.#undo().catch(() => {})
        throw error
      }
      await this.#undo()
    }
    throw new MirrorBehindError(
      `${this.#move.to} was not complete ${maxCutMs} ms after the cut, ${maxAttempts} times: try again under less load`,
    )
  }

  #info(stream: string): Promise<StreamInfo | undefined> {
    return infoOf(this.#options.manager, stream)
  }

  async #origin(): Promise<StreamInfo> {
    const info = await this.#info(this.#move.from)
    if (info !== undefined) return info
    throw new NatsError(NatsProblem.streams, `stream ${this.#move.from} does not exist`)
  }

  /** Whether a stream takes a partition that moves. */
  #takes({ config }: StreamInfo): boolean {
    const own = new Set(partitionsIn(this.#options.family, config.subjects))
    return this.#move.partitions.some(partition => own.has(partition))
  }

  #subjectsOf(partitions: readonly number[]): string[] {
    return partitions.map(partition => `${this.#options.family}.${partition}.*`)
  }

  /** The mirror has no subjects and no live feed, so no process sees it. */
  async #mirror(): Promise<void> {
    await this.#options.onStep('mirror')
    const { config } = await this.#origin()
    const {
      name: _,
      subjects: _s,
      republish: _r,
      allow_atomic: _a,
      duplicate_window: _d,
      metadata,
      ...rest
    } = config
    await this.#options.manager.streams.add({
      ...rest,
      metadata: withoutMoves(metadata),
      name: this.#move.to,
      mirror: { name: this.#move.from },
    } as StreamConfig)
  }

  async #near(): Promise<void> {
    await this.#options.onStep('near')
    const { nearEvents = defaultNearEvents } = this.#options
    let last = -1
    let movedAt = performance.now()
    for (;;) {
      const [origin, mirror] = await Promise.all([this.#origin(), this.#info(this.#move.to)])
      const has = mirror?.state.last_seq ?? 0
      this.#options.signal?.throwIfAborted()
      if (has + nearEvents >= origin.state.last_seq) return
      if (has > last) movedAt = performance.now()
      last = has
      if (performance.now() - movedAt > stalledMs)
        throw new MirrorBehindError(
          `${this.#move.to} does not follow ${this.#move.from}: it has ${has} of ${origin.state.last_seq} messages`,
        )
      await sleep(10 * pollMs)
    }
  }

  async #cut(): Promise<void> {
    await this.#options.onStep('cut')
    const { config } = await this.#origin()
    const moving = new Set(this.#move.partitions)
    const kept = partitionsIn(this.#options.family, config.subjects).filter(one => !moving.has(one))
    await this.#update({
      ...config,
      subjects: this.#subjectsOf(kept),
      metadata: { ...config.metadata, [OriginMetadata.moved]: 'true' },
    })
  }

  /** Gives the old stream its partitions back: the mirror did not follow in time. */
  async #undo(): Promise<void> {
    const origin = await this.#origin()
    if (this.#takes(origin)) return
    const { config } = origin
    const kept = partitionsIn(this.#options.family, config.subjects)
    const all = [...kept, ...this.#move.partitions].sort((one, other) => one - other)
    await this.#update({ ...config, subjects: this.#subjectsOf(all) })
  }

  /**
   * Publishes the marker, waits until the mirror has it, and makes the mirror a stream of the log. Resolves with false
   * when the mirror does not have it in time. `mayWait`: waits as long as the mirror makes progress.
   */
  async #promote(mayWait: boolean): Promise<boolean> {
    const { onStep } = this.#options
    const { from, to, partitions } = this.#move
    await onStep('marker')
    const origin = await this.#origin()
    const end = await this.#mark(origin)
    await onStep('wait')
    let mirror = await this.#info(to)
    for (
      const until = performance.now() + (mayWait ? stalledMs : maxCutMs);
      ;
      mirror = await this.#info(to)
    ) {
      if ((mirror?.state.last_seq ?? 0) >= end) break
      if (performance.now() > until) return false
      await sleep(pollMs)
    }
    await onStep('promote')
    if (mirror === undefined) return false
    const { config } = mirror
    const { republish, allow_atomic, duplicate_window } = origin.config
    await this.#update({
      ...config,
      // nats.js merges the settings with those of the stream.
      mirror: undefined,
      mirror_direct: false,
      subjects: this.#subjectsOf(partitions),
      ...(republish === undefined ? {} : { republish }),
      allow_atomic,
      duplicate_window,
      metadata: {
        ...config.metadata,
        [OriginMetadata.moved]: 'true',
        [OriginMetadata.stream]: from,
        [OriginMetadata.sequence]: String(end),
        [OriginMetadata.order]: String(indexOf(to)),
      },
    } as unknown as StreamConfig)
    return true
  }

  /**
   * Stores a message in the old stream and returns its sequence. The messages that were on their way to the cut
   * partitions are stored before it.
   */
  async #mark({ config }: StreamInfo): Promise<number> {
    const { family, nats } = this.#options
    const [partition = 0] = partitionsIn(family, config.subjects)
    // An id of another partition, so that the subject belongs to no aggregate.
    const id = ['marker', 'marker-'].find(one => partitionOf(one) !== partition)
    const block = headers()
    block.set(Header.type, markerType)
    const answer = await nats.connection.request(`${family}.${partition}.${id}`, '', {
      timeout: 2_000,
      headers: block,
    })
    const ack = readAck(answer)
    if (!isRefusal(ack)) return ack.seq
    throw new NatsError(NatsProblem.streams, `stream ${this.#move.from}: ${ack.description}`)
  }

  async #update(config: StreamConfig): Promise<void> {
    await this.#options.manager.streams.update(config.name, config)
  }
}

/** Returns the metadata of a stream without what it says about earlier moves. */
const withoutMoves = (metadata: StreamConfig['metadata']): Record<string, string> => {
  const own: ReadonlySet<string> = new Set(Object.values(OriginMetadata))
  return Object.fromEntries(Object.entries(metadata ?? {}).filter(([name]) => !own.has(name)))
}
