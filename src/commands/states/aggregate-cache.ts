import { LRUCache } from 'lru-cache'
import { sleep } from '../../base/sleep.ts'
import { settlesWithin } from '../../base/timeout.ts'
import {
  ConfabError,
  isForeign,
  isKnownType,
  LogDamagedError,
  type Position,
  type StoredEvent,
} from '../../events/index.ts'
import type { AggregateState, AggregateType, Origin } from '../domain/aggregate.ts'
import type { EventLog, Snapshot, SnapshotStore } from '../ports/event-log.ts'

/** An event that was sent to the log and is not acknowledged yet. */
export interface PendingEvent<E> {
  readonly seq: number
  readonly commandId: string
  readonly event: E | undefined
  /** The body as sent to the log. */
  readonly data: Uint8Array | undefined
}

/**
 * A cached aggregate. Its state evolves by stored events only, so it never holds an event that the log does not hold.
 */
export interface CacheEntry<S, E> {
  readonly id: string
  readonly state: S
  /** Whether the entry is in the cache. The live feed does not update an entry that has left it. */
  live: boolean
  /** Events of the append in flight, in order. When the live feed delivers one of them, it need not be decoded. */
  pending: readonly PendingEvent<E>[]
  /** seq of the last snapshot, stored or being stored. */
  snapshotSeq: number
  /** seq at which the memory of the state was last estimated. */
  sizedSeq: number
  /** Highest seq that the log is known to hold. The state may be behind it when another process appended the event. */
  knownSeq: number
}

/** Changes of the log while the aggregate was being loaded. */
interface Seen {
  /** Highest seq that the live feed delivered. */
  seq: number
  /** The stream lost its events after this sequence. */
  kept: number
}

export interface AggregateCacheOptions<S extends AggregateState, E> {
  readonly type: AggregateType<S, E>
  readonly log: EventLog
  readonly snapshots: SnapshotStore
  /** Estimated memory of all states, bytes. */
  readonly maxBytes: number
  /** Events between two snapshots. */
  readonly snapshotEvery: number
  /** Returns the highest seq of an aggregate that a view has seen; 0 when the view has none. Default: not asked. */
  readonly viewHead?: ((id: string) => Promise<number>) | undefined
}

/**
 * A snapshot is written when it takes at most this many bytes for each new event, so large states are written less
 * often.
 */
const snapshotBytesPerEvent = 512
/** Events between two estimates of an entry's memory. */
const sizeEvery = 64
/** Reads of a log replica that may be behind the live feed, and the time between two of them, ms. */
const staleReads = 40
const staleReadMs = 5
/** Longest wait for a view while an aggregate is loaded, ms. Acks must not depend on a view that does not answer. */
const viewHeadMs = 100

const noPending: readonly never[] = []
const nothingSeen: Seen = { seq: 0, kept: Number.POSITIVE_INFINITY }

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && Buffer.compare(one, other) === 0

/**
 * LRU cache of the states of one family, bounded in bytes. Loads states from snapshot and log, and keeps them fresh
 * by the live feed.
 */
export class AggregateCache<S extends AggregateState, E> {
  readonly #options: AggregateCacheOptions<S, E>
  readonly #entries: LRUCache<string, CacheEntry<S, E>>
  readonly #loads = new Map<string, { promise: Promise<CacheEntry<S, E>>; seen: Seen }>()

  constructor(options: AggregateCacheOptions<S, E>) {
    this.#options = options
    this.#entries = new LRUCache({
      maxSize: options.maxBytes,
      noDisposeOnSet: true,
      dispose: entry => {
        entry.live = false
      },
    })
  }

  /** Returns the entry if it is cached. */
  cached(id: string): CacheEntry<S, E> | undefined {
    return this.#entries.get(id)
  }

  /** Whether the entry is cached. Does not count as a use. */
  has(id: string): boolean {
    return this.#entries.has(id)
  }

  /**
   * Returns the entry, loading it when it is not cached. Concurrent calls share one load. Rejects with ConfabError
   * UNAVAILABLE when the log cannot be read, with UnreadableEventError when it holds an event that cannot be decoded,
   * with LogDamagedError when it lacks events.
   */
  async load(id: string): Promise<CacheEntry<S, E>> {
    return this.#entries.get(id) ?? this.#loads.get(id)?.promise ?? this.#start(id, true)
  }

  /** Drops the entry and reads the log from its start. Use it when the log no longer holds the events of the state. */
  async reload(id: string): Promise<CacheEntry<S, E>> {
    await this.#loads.get(id)?.promise.catch(() => {})
    this.drop(id)
    return this.#loads.get(id)?.promise ?? this.#start(id, false)
  }

  /**
   * Returns the entry as of the log's last event, also when the live feed has not delivered it yet. Rejects as `load`
   * does.
   */
  async current(id: string): Promise<CacheEntry<S, E>> {
    const { type, log } = this.#options
    const aggregate = { family: type.family, id }
    const load = this.#loads.get(id)
    // A load that is in progress may have read the log before its last event. A load that starts now reads all events.
    const entry = this.#entries.get(id) ?? (await load?.promise)
    if (entry === undefined) return this.load(id)
    const last = await log.last(aggregate)
    // Compare positions, because a foreign message has no seq.
    if (last === undefined || last.streamSeq <= entry.state.streamSeq) return entry
    for await (const batch of log.read(aggregate, entry.state.streamSeq))
      for (const stored of batch) if (!this.apply(entry, stored)) this.drop(id)
    // The read returned every event before `last`, so the next append expects the position of this foreign message.
    if (isForeign(last) && last.streamSeq > entry.state.streamSeq) entry.state.streamSeq = last.streamSeq
    return this.#entries.get(id) ?? this.load(id)
  }

  drop(id: string): void {
    this.#entries.delete(id)
  }

  /** Drops the aggregates of a stream that hold events after `streamSeq`: the stream was continued without them. */
  cutOff(stream: string, streamSeq: number): void {
    for (const [id, { state }] of [...this.#entries])
      if (state.stream === stream && state.streamSeq > streamSeq) this.drop(id)
    const { type, log } = this.#options
    for (const [id, { seen }] of this.#loads)
      if (log.streamOf({ family: type.family, id }) === stream) seen.kept = Math.min(seen.kept, streamSeq)
  }

  /**
   * Applies an event of the live feed. After a gap, or an event that cannot be decoded, the aggregate is dropped and
   * loaded again on use.
   */
  feed(stored: StoredEvent): void {
    const { id } = stored.aggregate
    const entry = this.#entries.peek(id)
    const seen = entry === undefined ? this.#loads.get(id)?.seen : undefined
    // Most events are of aggregates that are not cached. Their envelopes are not parsed.
    if (entry === undefined && seen === undefined) return
    try {
      if (isForeign(stored)) return
      const { seq } = stored.envelope
      if (seen !== undefined && seen.seq < seq) seen.seq = seq
      if (entry !== undefined && seq > entry.state.seq && !this.apply(entry, stored)) this.drop(id)
    } catch {
      // The next load reads the same event and rejects with the reason.
      this.drop(id)
    }
  }

  /** Notes that the log holds event `seq`. The entry counts as stale until its state holds the event. */
  knows(id: string, seq: number): void {
    const entry = this.#entries.peek(id)
    const seen = this.#loads.get(id)?.seen
    if (entry !== undefined && entry.knownSeq < seq) entry.knownSeq = seq
    if (seen !== undefined && seen.seq < seq) seen.seq = seq
  }

  /**
   * Applies a stored event. Returns whether the state holds it afterwards; false means that events are missing before
   * it. Skips an event of an unknown type. Throws UnreadableEventError.
   */
  apply(entry: CacheEntry<S, E>, stored: StoredEvent): boolean {
    const { seq, commandId, type } = stored.envelope
    if (seq <= entry.state.seq) return true
    if (seq !== entry.state.seq + 1) return false
    const { stream, streamSeq } = stored
    const origin = { stream, streamSeq, commandId, seenAt: performance.now(), isLive: entry.live }
    if (!isKnownType(type)) {
      this.#options.type.skip(entry.state, stored.envelope, origin)
      return true
    }
    const first = entry.pending[0]
    const pending = first === undefined ? undefined : entry.pending[seq - first.seq]
    const { data } = pending ?? {}
    // Compare bodies: another node may have decided the same command at another time.
    const isOwn = data !== undefined && pending?.commandId === commandId && isEqual(data, stored.data)
    const event = (isOwn ? pending.event : undefined) ?? this.#options.type.decode(stored)
    this.#evolve(entry, event, origin)
    return true
  }

  /**
   * Applies the pending events after the log has acknowledged them, unless the live feed was faster. `position` is of
   * the last one.
   */
  commit(entry: CacheEntry<S, E>, { stream, streamSeq }: Position): void {
    const seenAt = performance.now()
    for (const { seq, commandId, event } of entry.pending)
      if (event !== undefined && seq === entry.state.seq + 1)
        this.#evolve(entry, event, { stream, streamSeq, commandId, seenAt, isLive: true })
    entry.pending = noPending
    this.#snapshotWhenDue(entry)
  }

  /** Forgets the pending events after a failed append. The log may hold them all the same. */
  abandon(entry: CacheEntry<S, E>): void {
    entry.pending = noPending
  }

  #evolve(entry: CacheEntry<S, E>, event: E, origin: Origin): void {
    const { state } = entry
    this.#options.type.evolve(state, event, origin)
    if (state.seq - entry.sizedSeq >= sizeEvery && entry.live) this.#keep(entry)
  }

  #keep(entry: CacheEntry<S, E>): void {
    entry.sizedSeq = entry.state.seq
    entry.live = true
    // A state larger than the whole cache is kept alone. Otherwise each use would load it again.
    const size = Math.min(this.#options.type.bytes(entry.state), this.#options.maxBytes)
    this.#entries.set(entry.id, entry, { size })
  }

  #start(id: string, fromSnapshot: boolean): Promise<CacheEntry<S, E>> {
    const seen: Seen = { ...nothingSeen }
    const promise = this.#read(id, seen, fromSnapshot).finally(() => this.#loads.delete(id))
    this.#loads.set(id, { promise, seen })
    return promise
  }

  async #read(id: string, seen: Seen, fromSnapshot: boolean): Promise<CacheEntry<S, E>> {
    const { type, log } = this.#options
    const state = (fromSnapshot ? await this.#restore(id) : undefined) ?? type.empty(id)
    const entry: CacheEntry<S, E> = {
      id,
      state,
      live: false,
      pending: noPending,
      snapshotSeq: state.seq,
      sizedSeq: 0,
      knownSeq: 0,
    }
    const aggregate = { family: type.family, id }
    const viewHead = this.#viewHead(id)
    for (let reads = 0; ; reads++) {
      for await (const batch of log.read(aggregate, state.streamSeq))
        for (const stored of batch)
          if (!this.apply(entry, stored)) {
            if (entry.snapshotSeq > 0) return this.#read(id, seen, false)
            throw new LogDamagedError(aggregate, state.seq + 1, stored.envelope.seq - 1)
          }
      const head = await viewHead
      if (state.seq < head) {
        // A view never has more than the log, unless the log has lost its last events or the read was out of date.
        const last = await log.last(aggregate)
        if (last === undefined || (!isForeign(last) && last.envelope.seq < head))
          throw new LogDamagedError(aggregate, (last?.envelope.seq ?? 0) + 1, head)
      }
      if (state.seq >= seen.seq) break
      if (reads === staleReads) throw new ConfabError('UNAVAILABLE')
      await sleep(staleReadMs)
    }
    // Some of the events may be lost, and the log may have others in their place.
    if (state.streamSeq > seen.kept) return this.#read(id, Object.assign(seen, nothingSeen), false)
    this.#keep(entry)
    this.#snapshotWhenDue(entry)
    return entry
  }

  /** Returns the highest seq that the view has seen; 0 when it does not answer in time. Never rejects. */
  async #viewHead(id: string): Promise<number> {
    let head = 0
    const asked = this.#options.viewHead?.(id).then(
      seq => {
        head = seq
      },
      () => {},
    )
    if (asked !== undefined) await settlesWithin(viewHeadMs, asked)
    return head
  }

  async #restore(id: string): Promise<S | undefined> {
    const { type, log, snapshots } = this.#options
    try {
      const snapshot = await snapshots.load({ family: type.family, id })
      if (snapshot === undefined) return undefined
      const state = type.deserialise(id, snapshot.data, snapshot.version, performance.now())
      // The snapshot names the stream as it was: a promoted mirror has another name, and keeps the sequences.
      if (state !== undefined) state.stream = log.streamOf({ family: type.family, id })
      return state
    } catch {
      // Without a snapshot the load reads the log from its start: slower, and equally correct.
      return undefined
    }
  }

  #snapshotWhenDue(entry: CacheEntry<S, E>): void {
    const { type, snapshots, snapshotEvery } = this.#options
    const { id, state } = entry
    const events = state.seq - entry.snapshotSeq
    if (state.hasSkipped || events < snapshotEvery || events * snapshotBytesPerEvent < type.bytes(state))
      return
    entry.snapshotSeq = state.seq
    const snapshot: Snapshot = {
      version: type.snapshotVersion,
      streamSeq: state.streamSeq,
      data: type.serialise(state),
    }
    snapshots.save({ family: type.family, id }, snapshot).catch(() => {})
  }
}
