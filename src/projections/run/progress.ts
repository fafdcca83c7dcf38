import type { Checkpoint } from '../ports/stores.ts'
import type { ProjectionName } from '../views/projection.ts'
import type { ProjectionTarget } from './projection-target.ts'
import type { RunnerOptions } from './runner-options.ts'

/**
 * `live`: at the known end of the stream. `catching-up`: behind it and working. `failing`: the log or the store
 * cannot be reached; the position is kept and the work retried. `paused`: by an operator. `stopped`: not running.
 */
export type ProjectionState = 'live' | 'catching-up' | 'failing' | 'paused' | 'stopped'

/** Status of a projection in one stream. */
export interface StreamStatus {
  readonly stream: string
  /** Stream sequence up to which everything is applied. */
  readonly position: number
  /** Last sequence of the stream, at most a second old while running. */
  readonly head: number
  /** Sequences between position and head. */
  readonly lagEvents: number
  /** Events that are applied and that the stream has lost: its end is before the position. */
  readonly aheadEvents: number
  /** Messages that the stream has stored and lacks now. */
  readonly missingEvents: number
  /** Milliseconds since the projection was last at the head; 0 while it is. */
  readonly lagMs: number
  readonly state: ProjectionState
  /** Why the projection fails. */
  readonly reason?: string
  /** Number of the stream's events that became dead letters of this projection since its rows were last built. */
  readonly deadLetters: number
  /** Events applied per second, averaged over the last seconds. */
  readonly rate: number
}

export interface ProjectionStatus {
  readonly projection: ProjectionName
  readonly generation: number
  readonly version: number
  /** The worst state of its streams. */
  readonly state: ProjectionState
  /** Why it fails as a whole: its database cannot be opened, or its streams cannot be claimed. */
  readonly reason?: string
  readonly streams: readonly StreamStatus[]
}

/** Progress of one projection in one stream. Mutable, owned by its runner. */
export class Progress {
  position: number
  deadLetters: number
  #head: number
  /** Position at the previous look at the stream's end, which is at or beyond it in a stream that is whole. */
  #positionBefore: number
  #aheadEvents = 0
  #missingEvents = 0
  #levelAt: number
  #applied = 0
  #sampledAt: number
  #rate = 0

  constructor(position: number, head: number, deadLetters: number, now: number) {
    this.position = position
    this.deadLetters = deadLetters
    this.#head = head
    this.#positionBefore = position
    this.#levelAt = now
    this.#sampledAt = now
  }

  /**
   * Records that the stream ends at `head` or later and lacks `missing` messages. Returns whether the stream has begun
   * to lack events that are applied.
   */
  sawHead(head: number, missing: number, now: number): boolean {
    if (this.position >= this.#head) this.#levelAt = now
    if (head > this.#head) this.#head = head
    const wasAhead = this.#aheadEvents > 0
    // The position may have advanced since the end was read.
    this.#aheadEvents = Math.max(0, this.#positionBefore - head)
    this.#positionBefore = this.position
    this.#missingEvents = missing
    return this.#aheadEvents > 0 && !wasAhead
  }

  /** Records that everything up to `position` is stored, `events` of it in this step, with `deadLetters` in total. */
  advance(position: number, events: number, deadLetters: number, now: number): void {
    this.position = position
    this.deadLetters = deadLetters
    this.#applied += events
    if (position >= this.#head) {
      this.#head = position
      this.#levelAt = now
    }
  }

  /** Updates the rate with the events applied since the last call. */
  sampleRate(now: number): void {
    const seconds = (now - this.#sampledAt) / 1000
    if (seconds < 0.1) return
    const current = this.#applied / seconds
    const weight = 1 - Math.exp(-seconds / 3)
    this.#rate += (current - this.#rate) * weight
    if (this.#rate < 0.05) this.#rate = 0
    this.#applied = 0
    this.#sampledAt = now
  }

  status(
    stream: string,
    condition: { paused: boolean; stopped: boolean; failure: string | undefined },
    now: number,
  ): StreamStatus {
    const lagEvents = Math.max(0, this.#head - this.position)
    const { paused, stopped, failure } = condition
    return {
      stream,
      position: this.position,
      head: this.#head,
      lagEvents,
      aheadEvents: this.#aheadEvents,
      missingEvents: this.#missingEvents,
      lagMs: lagEvents === 0 ? 0 : Math.max(0, Math.round(now - this.#levelAt)),
      state: stopped
        ? 'stopped'
        : paused
          ? 'paused'
          : failure !== undefined
            ? 'failing'
            : lagEvents > 0
              ? 'catching-up'
              : 'live',
      ...(failure !== undefined && !stopped && !paused ? { reason: failure } : {}),
      deadLetters: this.deadLetters,
      rate: Math.round(this.#rate * 10) / 10,
    }
  }
}

const severity: readonly ProjectionState[] = ['live', 'catching-up', 'paused', 'failing', 'stopped']

/** Returns the state that needs an operator's attention first. */
export const worstState = (states: Iterable<ProjectionState>): ProjectionState => {
  let worst = 0
  for (const state of states) worst = Math.max(worst, severity.indexOf(state))
  return severity[worst] ?? 'live'
}

/** Log message about a view that has applied events which the log does not hold. */
export const viewIsAhead = 'view holds events that the log has lost'

/** The last sequence of each stream. */
export type StreamEnds = ReadonlyMap<string, number>

/**
 * Loads the checkpoints that targets continue from, and the streams' ends. Rows of another version of a projection,
 * or of another log (a checkpoint beyond the stream's end), are deleted, and the projection starts from the first
 * event. Rejects when the store cannot be reached.
 */
export const loadCheckpoints = async (
  feeds: readonly ProjectionTarget[],
  readEnds: () => Promise<StreamEnds>,
  { stores, log }: Pick<RunnerOptions, 'stores' | 'log'>,
): Promise<{ loaded: Map<ProjectionTarget, readonly Checkpoint[]>; ends: StreamEnds }> => {
  const checkpoints = await stores.checkpoints.load()
  // Read the ends after the checkpoints: other workers advance meanwhile, and a checkpoint beyond older ends would look
  // like another log.
  const ends = await readEnds()
  const found = new Map<ProjectionTarget, readonly Checkpoint[]>()
  for (const feed of feeds) {
    const { name: projection, generation, version } = feed
    const own = checkpoints.filter(one => one.projection === projection && one.generation === generation)
    const isOutdated = own.some(one => one.version !== version)
    const ahead = own.find(({ stream, streamSeq }) => streamSeq > (ends.get(stream) ?? streamSeq))
    if (!isOutdated && ahead === undefined) {
      found.set(feed, own)
      continue
    }
    if (ahead !== undefined) {
      const { stream, streamSeq: position } = ahead
      log.error({ projection, generation, stream, position, end: ends.get(stream) }, viewIsAhead)
    }
    const why = isOutdated ? 'its version changed' : 'the log ends before its checkpoint'
    log.info({ projection, generation, version, why }, 'rebuilding a projection')
    await stores.atomically(async () => {
      await feed.clear()
      await stores.checkpoints.remove(projection, generation)
    })
    found.set(feed, [])
  }
  return { loaded: found, ends }
}
