import { LRUCache } from 'lru-cache'
import { sleep } from '../../base/sleep.ts'
import { ConfabError, type Position, type StoredEvent } from '../../events/index.ts'
import type { AggregateState, AggregateType, Origin } from '../domain/aggregate.ts'
import type { EventLog, Snapshot, SnapshotStore } from '../ports/event-log.ts'

/** An event that is on its way into the log. */
export interface PendingEvent<E> {
  readonly seq: number
  readonly commandId: string
  readonly event: E | undefined
  /** Its body, as it was given to the log. */
  readonly data: Uint8Array | undefined
}

/** An aggregate in memory. Its state holds what is in the log and nothing else: it evolves by stored events only. */
export interface CacheEntry<S, E> {
  readonly id: string
  readonly state: S
  /** False once it has left the cache: nothing keeps it fresh any more. */
  live: boolean
  /** What is being appended, in order: when the feed brings it, it needs not be decoded. */
  pending: readonly PendingEvent<E>[]
  /** seq up to which there is a snapshot, or one is being made. */
  snapshotSeq: number
  /** seq at which its memory was last estimated. */
  sizedSeq: number
  /** seq that the log is known to have, where it was appended elsewhere: the state may have got no further than the feed. */
  knownSeq: number
}

/** What the feed brought of an aggregate while it was being loaded: the highest seq. */
interface Seen {
  seq: number
}

export interface AggregateCacheOptions<S extends AggregateState, E> {
  readonly type: AggregateType<S, E>
  readonly log: EventLog
  readonly snapshots: SnapshotStore
  /** Estimated memory of all its states, bytes. */
  readonly maxBytes: number
  /** Events between two snapshots. */
  readonly snapshotEvery: number
}

/** A state takes as many bytes of snapshot an event as this at most: large ones are written less often. */
const snapshotBytesPerEvent = 512
/** Events between two estimates of an entry's memory. */
const sizeEvery = 64
/** A replica may lag behind what the feed has brought: so often, and after so many ms, it is asked again. */
const staleReads = 40
const staleReadMs = 5

const nothing: readonly never[] = []

const isEqual = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && Buffer.compare(one, other) === 0

/** The states of a family's aggregates: loaded from snapshot and log, kept fresh by the live feed, bounded in bytes, the least used dropped first. */
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

  /** The entry, when it is here. */
  cached(id: string): CacheEntry<S, E> | undefined {
    return this.#entries.get(id)
  }

  /** Whether the entry is cached. Does not count as a use. */
  has(id: string): boolean {
    return this.#entries.has(id)
  }

  /**
   * The entry, loaded when it is not here; one load at a time for an aggregate. Rejects with ConfabError UNAVAILABLE when the log can't be read, with
   * MalformedEventError or RangeError when it makes no sense.
   */
  async load(id: string): Promise<CacheEntry<S, E>> {
    return this.#entries.get(id) ?? this.#loads.get(id)?.promise ?? this.#start(id, true)
  }

  /** Forgets what it has and reads the log from its start: for when the log's history is not the one that the state was made of. */
  async reload(id: string): Promise<CacheEntry<S, E>> {
    await this.#loads.get(id)?.promise.catch(() => {})
    this.drop(id)
    return this.#loads.get(id)?.promise ?? this.#start(id, false)
  }

  /** The entry, as the log has it now: for when what the feed may not have brought yet matters. Rejects as `load` does. */
  async current(id: string): Promise<CacheEntry<S, E>> {
    const { type, log } = this.#options
    const aggregate = { family: type.family, id }
    const entry = this.#entries.get(id)
    if (entry === undefined) return this.load(id)
    const last = await log.last(aggregate)
    // By its place: the last message may be none of confab's, and has no seq.
    if (last === undefined || last.streamSeq <= entry.state.streamSeq) return entry
    for await (const batch of log.read(aggregate, entry.state.streamSeq))
      for (const stored of batch) if (!this.apply(entry, stored)) this.drop(id)
    return this.#entries.get(id) ?? this.load(id)
  }

  drop(id: string): void {
    this.#entries.delete(id)
  }

  /** Takes what the live feed brings. A gap drops the aggregate: it is loaded again when it is asked for. */
  feed(stored: StoredEvent): void {
    const { id } = stored.aggregate
    const entry = this.#entries.peek(id)
    const seen = entry === undefined ? this.#loads.get(id)?.seen : undefined
    // Nearly always it is of no concern here, and then its envelope is not read.
    if (entry === undefined && seen === undefined) return
    const { seq } = stored.envelope
    if (seen !== undefined && seen.seq < seq) seen.seq = seq
    if (entry !== undefined && seq > entry.state.seq) {
      try {
        if (!this.apply(entry, stored)) this.drop(id)
      } catch {
        // An event that can't be read: whoever loads the aggregate next is told of it.
        this.drop(id)
      }
    }
  }

  /** The log has event `seq` of an aggregate, whatever the feed has brought. What is not cached and not being loaded is read from the log anyway. */
  knows(id: string, seq: number): void {
    const entry = this.#entries.peek(id)
    const seen = this.#loads.get(id)?.seen
    if (entry !== undefined && entry.knownSeq < seq) entry.knownSeq = seq
    if (seen !== undefined && seen.seq < seq) seen.seq = seq
  }

  /** Evolves by a stored event when it is the next; true when the state holds it then. Throws MalformedEventError. */
  apply(entry: CacheEntry<S, E>, stored: StoredEvent): boolean {
    const { seq, commandId } = stored.envelope
    if (seq <= entry.state.seq) return true
    if (seq !== entry.state.seq + 1) return false
    const first = entry.pending[0]
    const pending = first === undefined ? undefined : entry.pending[seq - first.seq]
    const { data } = pending ?? {}
    // The same command may have been decided by another node, at another time.
    const isOurs = data !== undefined && pending?.commandId === commandId && isEqual(data, stored.data)
    const known = isOurs ? pending.event : undefined
    this.#evolve(entry, known ?? this.#options.type.decode(stored), {
      stream: stored.stream,
      streamSeq: stored.streamSeq,
      commandId,
    })
    return true
  }

  /** The log has taken what was pending, the last of it at `position`: evolves by it, where the feed was not quicker. */
  commit(entry: CacheEntry<S, E>, { stream, streamSeq }: Position): void {
    for (const { seq, commandId, event } of entry.pending)
      if (event !== undefined && seq === entry.state.seq + 1)
        this.#evolve(entry, event, { stream, streamSeq, commandId })
    entry.pending = nothing
    this.#snapshotWhenDue(entry)
  }

  /** What was pending is not known to be in the log. */
  abandon(entry: CacheEntry<S, E>): void {
    entry.pending = nothing
  }

  #evolve(entry: CacheEntry<S, E>, event: E, origin: Origin): void {
    const { state } = entry
    this.#options.type.evolve(state, event, origin)
    if (state.seq - entry.sizedSeq >= sizeEvery && entry.live) this.#keep(entry)
  }

  #keep(entry: CacheEntry<S, E>): void {
    entry.sizedSeq = entry.state.seq
    entry.live = true
    // What is larger than all of the cache has it to itself, rather than being loaded at each use.
    const size = Math.min(this.#options.type.bytes(entry.state), this.#options.maxBytes)
    this.#entries.set(entry.id, entry, { size })
  }

  #start(id: string, fromSnapshot: boolean): Promise<CacheEntry<S, E>> {
    const seen: Seen = { seq: 0 }
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
      pending: nothing,
      snapshotSeq: state.seq,
      sizedSeq: 0,
      knownSeq: 0,
    }
    for (let tries = 0; ; tries++) {
      for await (const batch of log.read({ family: type.family, id }, state.streamSeq))
        for (const stored of batch)
          if (!this.apply(entry, stored)) {
            if (entry.snapshotSeq > 0) return this.#read(id, seen, false)
            throw new RangeError(`${id}: event ${stored.envelope.seq} follows ${state.seq} in the log`)
          }
      if (state.seq >= seen.seq) break
      if (tries === staleReads) throw new ConfabError('UNAVAILABLE')
      await sleep(staleReadMs)
    }
    this.#keep(entry)
    this.#snapshotWhenDue(entry)
    return entry
  }

  async #restore(id: string): Promise<S | undefined> {
    const { type, snapshots } = this.#options
    try {
      const snapshot = await snapshots.load({ family: type.family, id })
      return snapshot?.version === type.snapshotVersion ? type.deserialise(id, snapshot.data) : undefined
    } catch {
      // A snapshot that can't be had or read costs time only.
      return undefined
    }
  }

  #snapshotWhenDue(entry: CacheEntry<S, E>): void {
    const { type, snapshots, snapshotEvery } = this.#options
    const { id, state } = entry
    const events = state.seq - entry.snapshotSeq
    if (events < snapshotEvery || events * snapshotBytesPerEvent < type.bytes(state)) return
    entry.snapshotSeq = state.seq
    const snapshot: Snapshot = {
      version: type.snapshotVersion,
      streamSeq: state.streamSeq,
      data: type.serialise(state),
    }
    snapshots.save({ family: type.family, id }, snapshot).catch(() => {})
  }
}
