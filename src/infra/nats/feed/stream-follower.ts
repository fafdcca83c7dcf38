import { backoffMs } from '../../../base/backoff.ts'
import { sleep } from '../../../base/sleep.ts'
import type { LiveEvent, SkippedListener } from '../../../commands/index.ts'
import { isNoEvent, type StoredEvent } from '../../../events/index.ts'
import type { LogReader } from '../log/log-reader.ts'
import { asLive } from '../log/stored-message.ts'
import type { Digest } from './digest.ts'

/** Events that arrived ahead of a gap and wait for it to be closed. Further ones are read from the log. */
const maxEarly = 4_096
const readEvents = 500
const readBytes = 1024 * 1024
/**
 * Time that a stored event may take to arrive before it counts as lost, ms; longer where a digest has to announce it.
 */
const graceMs = 100
const digestGraceMs = 500
const pollMs = 10
const readBackoff = { firstMs: 50, maxMs: 1_000, jitter: 0 }
/** Consecutive checks in which the digests may be late. */
const maxLateChecks = 3
/** Digests that wait for a read of the log. The events of further ones are read, too. */
const maxDigests = 256

export interface FollowerOptions {
  readonly reader: LogReader
  readonly deliver: (event: LiveEvent) => void
  /** Whether another stream delivers an event that this one has a copy of. */
  readonly isCopy: (event: LiveEvent) => boolean
  /** Called for an event that a digest describes and that the node does not need. */
  readonly skip: SkippedListener
  readonly needsConversation: (c: string) => boolean
  readonly needsMarkers: (user: string, c: string) => boolean
  /** Called when digests do not describe what the stream stored, or are late. */
  readonly digestsFailed: () => void
  readonly notice: (notice: string) => void
  /** Whether the home of the stream may change between regions. */
  readonly changesHome: boolean
}

/**
 * The live feed of one stream. Delivers the events in order, each once: as they arrive, and from the log where messages
 * were lost. In narrow mode it skips the events that a digest describes and the node does not need.
 */
export class StreamFollower {
  readonly stream: string
  readonly #options: FollowerOptions
  readonly #reader: LogReader
  /** Events that arrived ahead of a gap, by stream sequence. */
  readonly #early = new Map<number, LiveEvent>()
  /** Stream sequence up to which all events are delivered or skipped. Undefined before the start. */
  #position: number | undefined
  /** Stream sequence up to which the log is to be read. */
  #target = 0
  #isReading = false
  #check: Promise<void> | undefined
  /** Consecutive checks in which the stream ended before the position. */
  #behind = 0
  /** Consecutive checks in which the digests were late. */
  #late = 0
  #delivered = 0
  /** The epochs of the delivered events, ascending, each with the position before its first event. */
  #epochs: { readonly epoch: number; readonly after: number }[] = []
  #isStopped = false
  /** Digests that are not applied yet; `#applied` counts the events of the first that are. */
  #digests: Digest[] = []
  #applied = 0
  /** In narrow mode only needed events arrive and digests describe the others, so a gap is no loss. */
  isNarrow = false
  /** When the last digest arrived, as by `performance.now()`. */
  digestAt = Number.NEGATIVE_INFINITY
  /** The latest time up to which the follower knows that it has every stored event, as by `performance.now()`. */
  completeAt = Number.NEGATIVE_INFINITY

  constructor(stream: string, options: FollowerOptions) {
    this.stream = stream
    this.#options = options
    this.#reader = options.reader
  }

  get position(): number | undefined {
    return this.#position
  }

  /** The position before the first delivered event of a later epoch than `epoch`; without one, the position. */
  positionIn(epoch: number): number | undefined {
    return this.#epochs.find(later => later.epoch > epoch)?.after ?? this.#position
  }

  /** Starts after the last message of the stream. Events that arrived since the feed subscribed are kept. */
  async start(): Promise<number> {
    const askedAt = performance.now()
    const { last } = await this.#reader.bounds(this.stream)
    this.completeAt = askedAt
    this.#begin(last)
    return last
  }

  /** Starts after a sequence. Reads the events that the stream has stored since then. */
  async startAfter(streamSeq: number): Promise<void> {
    this.#begin(streamSeq)
    await this.check(true)
  }

  #begin(position: number): void {
    this.#position = position
    const early = [...this.#early.values()]
    this.#early.clear()
    for (const event of early) this.accept(event)
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Accepts an event from a subscription: the next one, a duplicate, or one after a gap. */
  accept(event: LiveEvent): void {
    const { streamSeq } = event
    if (this.#position !== undefined) {
      if (streamSeq <= this.#position) return
      if (streamSeq === this.#position + 1) {
        this.#advance(event)
        if (this.#early.size > 0) this.#releaseEarly()
        return
      }
    }
    if (this.#early.size < maxEarly) this.#early.set(streamSeq, event)
    if (!this.isNarrow) this.#readUpTo(streamSeq)
  }

  acceptDigest(digest: Digest): void {
    this.digestAt = performance.now()
    if (this.#position === undefined || digest.to <= this.#position) return
    if (this.#digests.length < maxDigests) this.#digests.push(digest)
    this.#applyDigests()
  }

  /** Applies the digests in turn, until the log has to be read first. */
  #applyDigests(): void {
    for (let digest = this.#digests[0]; digest !== undefined; digest = this.#digests[0]) {
      if (this.#isReading) return
      const missing = digest.from > (this.#position ?? 0) ? digest.from : this.#apply(digest)
      if (missing !== undefined) {
        this.#readUpTo(missing)
        return
      }
      this.#digests.shift()
      this.#applied = 0
    }
    if (this.#early.size > 0) this.#releaseEarly()
  }

  /**
   * Delivers or skips the events of a digest. Returns the sequence up to which the log has to be read first, if any.
   */
  #apply(digest: Digest): number | undefined {
    const { skip, needsConversation, needsMarkers } = this.#options
    for (; this.#applied < digest.size; this.#applied++) {
      const index = this.#applied
      const streamSeq = digest.streamSeq(index)
      if (streamSeq <= (this.#position ?? 0)) continue
      const event = this.#early.get(streamSeq) ?? digest.completeEvent(index)
      if (event !== undefined) {
        this.#early.delete(streamSeq)
        this.#advance(event)
        continue
      }
      const aggregate = digest.aggregate(index)
      const c = digest.markerConversation(index)
      const isNeeded = c === undefined ? needsConversation(aggregate.id) : needsMarkers(aggregate.id, c)
      if (isNeeded && c === undefined) return this.#lastMissing(digest)
      if (isNeeded) this.#advance(digest.markerEvent(index))
      else {
        this.#position = streamSeq
        skip(aggregate, digest.seq(index), { stream: this.stream, streamSeq })
      }
    }
    this.#position = Math.max(this.#position ?? 0, digest.to)
    return undefined
  }

  /**
   * The last needed event of a digest that has not arrived. One read gets all of them, for a busy conversation without
   * a subscription.
   */
  #lastMissing(digest: Digest): number {
    const { needsConversation } = this.#options
    const isMissing = (index: number): boolean =>
      digest.completeEvent(index) === undefined &&
      !this.#early.has(digest.streamSeq(index)) &&
      needsConversation(digest.aggregate(index).id)
    let index = digest.size - 1
    while (index > this.#applied && !isMissing(index)) index--
    return digest.streamSeq(index)
  }

  /** Starts to read the log, up to this sequence at least. */
  #readUpTo(streamSeq: number): void {
    this.#target = Math.max(this.#target, streamSeq)
    if (this.#position !== undefined) void this.#read()
  }

  /**
   * Compares the position with the last sequence of the stream, and reads missing events from the log. After a
   * reconnect no message is in transit, so there is no grace. Never rejects; one check at a time.
   */
  check(afterReconnect = false): Promise<void> {
    this.#check ??= this.#compare(afterReconnect ? 0 : this.isNarrow ? digestGraceMs : graceMs)
      .catch(() => {
        // The stream is unreachable: `completeAt` stays, and shows it.
      })
      .finally(() => {
        this.#check = undefined
      })
    return this.#check
  }

  async #compare(graceTimeMs: number): Promise<void> {
    if (this.#position === undefined) return
    const askedAt = performance.now()
    const positionThen = this.#position
    const { last, isLed, isMirror } = await this.#reader.bounds(this.stream)
    // A server that is cut off from the leader does not know the end of the stream.
    if (!isLed) return
    // Count polls, not time: while this process does not run, nothing can arrive.
    for (let polls = graceTimeMs / pollMs; this.#position < last && polls > 0; polls--) await sleep(pollMs)
    const needsDigests = graceTimeMs === digestGraceMs
    if (this.#position >= last) this.#late = 0
    else if (!needsDigests || !this.#digestsArrive(askedAt)) {
      const delivered = this.#delivered
      this.#target = Math.max(this.#target, last)
      await this.#read()
      // No digest describes messages that confab did not write, while the stream stores nothing else.
      if (needsDigests && this.#delivered > delivered) this.#options.digestsFailed()
    }
    // A mirror that was made anew has not copied everything yet: it will hold the same events again.
    if (last < positionThen && !isMirror) this.#rewind(last)
    else this.#behind = 0
    if (this.#position >= last) this.completeAt = Math.max(this.completeAt, askedAt)
  }

  /** Whether digests will describe what is missing: they arrive, if late, or the log is being read already. */
  #digestsArrive(askedAt: number): boolean {
    return (this.digestAt > askedAt || this.#isReading) && ++this.#late < maxLateChecks
  }

  /** Continues at the end of a stream that lost its last messages. A deposed leader may report so once: check twice. */
  #rewind(last: number): void {
    if (++this.#behind < 2) return
    this.#behind = 0
    this.#options.notice(
      `${this.stream} lost its last messages: it ends at ${last}, the feed was at ${this.#position}`,
    )
    this.#restart(last)
  }

  #restart(position: number): void {
    this.#position = position
    this.#target = position
    this.#epochs = this.#epochs.filter(({ after }) => after < position)
    this.#early.clear()
    this.#digests = []
    this.#applied = 0
  }

  /** Continues after `streamSeq` when the stream was continued there, without the later events of `epoch` or before. */
  cutOff(streamSeq: number, epoch: number): void {
    const position = this.positionIn(epoch)
    if (position === undefined || position <= streamSeq) return
    this.#restart(streamSeq)
    void this.check(true)
  }

  /** Reads the log up to the target. One read at a time. */
  async #read(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    let failures = 0
    while (this.#position !== undefined && this.#position < this.#target && !this.#isStopped)
      try {
        const events = await this.#reader.batch(this.stream, {
          seq: this.#position + 1,
          // In narrow mode the node may not need what follows the target.
          batch: this.isNarrow ? Math.min(readEvents, this.#target - this.#position) : readEvents,
          max_bytes: readBytes,
        })
        for (const event of events) this.#acceptStored(event)
        if (events.length === 0) await this.#askLeader()
        failures = 0
      } catch {
        await sleep(backoffMs(++failures, readBackoff))
      }
    this.#isReading = false
    if (this.#digests.length > 0 && !this.#isStopped) this.#applyDigests()
  }

  /** Asks the leader after a replica returned no event: the replica may lag, or the messages may be deleted. */
  async #askLeader(): Promise<void> {
    if (this.#position === undefined) return
    const digests = this.#digests.length
    const { last } = await this.#reader.bounds(this.stream)
    const next = await this.#reader.leader(this.stream, { seq: this.#position + 1, next_by_subj: '>' })
    if (next !== undefined) this.#acceptStored(next)
    else {
      this.#position = Math.max(this.#position, Math.min(last, this.#target))
      this.#target = Math.min(this.#target, this.#position)
      // Drop digests beyond the end of the stream: their events are lost, and would be asked for again and again.
      this.#digests = this.#digests.filter(({ to }, index) => index >= digests || to <= last)
      this.#applied = 0
      this.#releaseEarly()
    }
  }

  /** Accepts the next event of the log. Messages before it are deleted, or have arrived meanwhile. */
  #acceptStored(event: StoredEvent): void {
    if (this.#position === undefined || event.streamSeq <= this.#position) return
    if (event.streamSeq > this.#position + 1 && this.#early.size > 0)
      this.#releaseEarlyBefore(event.streamSeq)
    this.#advance(asLive(event))
    if (this.#early.size > 0) this.#releaseEarly()
  }

  /** Delivers the early events that follow the position without a gap. */
  #releaseEarly(): void {
    for (;;) {
      const event = this.#early.get((this.#position ?? 0) + 1)
      if (event === undefined) break
      this.#early.delete(event.streamSeq)
      this.#advance(event)
    }
    for (const streamSeq of this.#early.keys())
      if (streamSeq <= (this.#position ?? 0)) this.#early.delete(streamSeq)
  }

  #releaseEarlyBefore(streamSeq: number): void {
    const sequences = [...this.#early.keys()].filter(early => early < streamSeq).sort((a, b) => a - b)
    for (const sequence of sequences) {
      const event = this.#early.get(sequence)
      this.#early.delete(sequence)
      if (event !== undefined && sequence > (this.#position ?? 0)) this.#advance(event)
    }
  }

  #advance(event: LiveEvent): void {
    const before = this.#position ?? 0
    this.#position = event.streamSeq
    if (isNoEvent(event.type) || this.#options.isCopy(event)) return
    if (this.#options.changesHome) {
      const { epoch } = event.envelope
      if (epoch > (this.#epochs.at(-1)?.epoch ?? 0)) this.#epochs.push({ epoch, after: before })
    }
    this.#delivered++
    this.#options.deliver(event)
  }
}
