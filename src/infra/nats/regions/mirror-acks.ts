import type { Subscription } from '@nats-io/transport-node'
import { type Epochs, type LiveFeed, watchCuts } from '../../../commands/index.ts'
import type { Nats } from '../client/connection.ts'
import { mirroredSubject } from '../commands/command-wire.ts'
import type { LogLayout } from '../log/log-layout.ts'

/** The positions of a region's mirrors: epoch and last sequence, by stream. */
type Positions = Readonly<Record<string, readonly [epoch: number, streamSeq: number]>>

/** Longest time that a mirror's position waits for its message, ms. */
const reportMs = 5
/** Interval of reports without events, ms: for commands nodes that have started, and after a change of the home. */
const idleReportMs = 500
/** Time after which an acknowledgement that waits for a mirror is refused, ms. */
const defaultTimeoutMs = 3_000

/** Sends the positions of a region's mirrors to the commands nodes of their homes, as events arrive. */
export class MirrorReports {
  readonly #nats: Nats
  readonly #feed: Pick<LiveFeed, 'listen' | 'positions'>
  readonly #layout: LogLayout & Epochs
  readonly #streams: ReadonlySet<string>
  readonly #outdated = new Set<string>()
  readonly #unwatch: () => void
  readonly #idle: NodeJS.Timeout
  #timer: NodeJS.Timeout | undefined

  /** `streams`: those whose home waits for a mirror. Create it before the feed starts. */
  constructor(
    nats: Nats,
    feed: Pick<LiveFeed, 'listen' | 'positions'>,
    layout: LogLayout & Epochs,
    streams: ReadonlySet<string>,
  ) {
    this.#nats = nats
    this.#feed = feed
    this.#layout = layout
    this.#streams = streams
    // The positions of a process that has read lost events are not those of the mirror.
    this.#unwatch = watchCuts(layout, (stream, streamSeq) => {
      if ((feed.positions().find(one => one.stream === stream)?.streamSeq ?? 0) > streamSeq)
        this.#outdated.add(stream)
    })
    this.#idle = setInterval(() => this.#report(), idleReportMs)
    this.#idle.unref()
    feed.listen(({ stream }) => {
      if (this.#streams.has(stream)) this.#timer ??= setTimeout(() => this.#report(), reportMs).unref()
    })
  }

  stop(): void {
    this.#unwatch()
    clearInterval(this.#idle)
    clearTimeout(this.#timer)
  }

  #report(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#nats.connected()) return
    const positions: Record<string, [number, number]> = {}
    for (const { stream, streamSeq } of this.#feed.positions())
      if (this.#streams.has(stream) && !this.#outdated.has(stream) && !this.#layout.takesEvents(stream))
        positions[stream] = [this.#layout.epochOf(stream), streamSeq]
    if (Object.keys(positions).length > 0)
      this.#nats.connection.publish(mirroredSubject, JSON.stringify(positions))
  }
}

interface Held {
  readonly streamSeq: number
  readonly deadline: number
  readonly release: (mayAck: boolean) => void
}

export interface MirrorAcksOptions {
  /** The streams whose acknowledgements wait for a mirror. */
  readonly streams: ReadonlySet<string>
  /** Time after which an acknowledgement is refused, ms. Default: 3,000. */
  readonly timeoutMs?: number
}

/** Holds acknowledgements until a mirror has the event. */
export class MirrorAcks {
  readonly #streams: ReadonlySet<string>
  readonly #timeoutMs: number
  readonly #layout: Pick<LogLayout, 'epochOf'>
  readonly #subscription: Subscription
  readonly #timer: NodeJS.Timeout
  readonly #held = new Map<string, Held[]>()
  readonly #positions = new Map<string, readonly [epoch: number, streamSeq: number]>()

  constructor(
    nats: Nats,
    layout: Pick<LogLayout, 'epochOf'>,
    { streams, timeoutMs = defaultTimeoutMs }: MirrorAcksOptions,
  ) {
    this.#streams = streams
    this.#timeoutMs = timeoutMs
    this.#layout = layout
    this.#subscription = nats.subscribe(mirroredSubject, msg => this.#receive(msg.json<Positions>()))
    this.#timer = setInterval(() => this.#sweep(), timeoutMs / 10)
    this.#timer.unref()
  }

  /** Whether an acknowledgement has to wait. `release` is called with false after the timeout. */
  holds(stream: string, streamSeq: number, release: (mayAck: boolean) => void): boolean {
    if (!this.#streams.has(stream) || streamSeq <= this.#positionOf(stream)) return false
    const held = this.#held.get(stream) ?? []
    held.push({ streamSeq, release, deadline: performance.now() + this.#timeoutMs })
    this.#held.set(stream, held)
    return true
  }

  close(): void {
    clearInterval(this.#timer)
    this.#subscription.unsubscribe()
    for (const stream of this.#held.keys())
      this.#settle(
        stream,
        () => false,
        () => true,
      )
  }

  /** The last sequence that a mirror of the present epoch has; 0 when none has said so. */
  #positionOf(stream: string): number {
    const [epoch, streamSeq] = this.#positions.get(stream) ?? [0, 0]
    return epoch === this.#layout.epochOf(stream) ? streamSeq : 0
  }

  #receive(positions: Positions): void {
    for (const [stream, [epoch, streamSeq]] of Object.entries(positions)) {
      const [knownEpoch, knownSeq] = this.#positions.get(stream) ?? [0, 0]
      if (epoch < knownEpoch || (epoch === knownEpoch && streamSeq <= knownSeq)) continue
      this.#positions.set(stream, [epoch, streamSeq])
      const reached = this.#positionOf(stream)
      this.#settle(
        stream,
        one => one.streamSeq <= reached,
        () => false,
      )
    }
  }

  #sweep(): void {
    const now = performance.now()
    for (const stream of this.#held.keys())
      this.#settle(
        stream,
        () => false,
        one => one.deadline <= now,
      )
  }

  /** Releases the acknowledgements that may be given, and those that may not. The others stay. */
  #settle(stream: string, mayAck: (one: Held) => boolean, isOver: (one: Held) => boolean): void {
    const held = this.#held.get(stream) ?? []
    this.#held.set(
      stream,
      held.filter(one => !mayAck(one) && !isOver(one)),
    )
    for (const one of held) {
      if (mayAck(one)) one.release(true)
      else if (isOver(one)) one.release(false)
    }
  }
}
