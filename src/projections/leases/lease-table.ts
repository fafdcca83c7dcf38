/**
 * The assignment of streams to workers within one group: a database of views and the workers that feed it. The table
 * is one entry that is replaced as a whole, so a reader always sees a consistent state.
 */
export interface LeaseTable {
  /** By worker: a number that changes with each heartbeat. */
  readonly beats: Readonly<Record<string, number>>
  /** By stream: the worker that owns it. */
  readonly owners: Readonly<Record<string, string>>
}

/** Stores lease tables. Port; the JetStream adapter uses a key-value bucket. */
export interface LeaseStore {
  /**
   * Returns the table as the store's leader has it, never an older state. A missing table is empty with revision 0.
   * Rejects when the store cannot be reached.
   */
  read(group: string): Promise<{ readonly table: LeaseTable; readonly revision: number }>
  /**
   * Replaces the table if it still has this revision. Resolves with false, without a change, when the revision
   * differs. After a rejection the table may or may not have been replaced.
   */
  replace(group: string, table: LeaseTable, revision: number): Promise<boolean>
}

export const noLeases: LeaseTable = { beats: {}, owners: {} }

/** The outcome of one step of a worker. */
export interface LeaseStep {
  readonly table: LeaseTable
  /**
   * The worker's streams once the table is stored. A stream that it gives up stays leased until the worker has
   * stopped writing to it.
   */
  readonly streams: readonly string[]
}

export interface LeaseView {
  readonly worker: string
  readonly streams: readonly string[]
  /** Workers whose heartbeats stopped for too long. */
  readonly lapsed: ReadonlySet<string>
  /** Streams of the worker's last step. It keeps those that no other worker owns. */
  readonly current: readonly string[]
  /** Streams that the worker may still be writing to. */
  readonly touched: ReadonlySet<string>
  /** Whether the worker may take unowned streams. */
  readonly mayTake: boolean
}

/**
 * Returns how many streams each worker may own: equal shares. A remainder goes to the workers that own most, to move
 * as few streams as possible. The result depends only on the table, so all workers agree on it.
 */
export const sharesOf = (streams: number, held: ReadonlyMap<string, number>): Map<string, number> => {
  const ranked = [...held].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  const least = Math.floor(streams / ranked.length)
  const more = streams % ranked.length
  return new Map(ranked.map(([worker], i) => [worker, least + (i < more ? 1 : 0)]))
}

/**
 * Computes a worker's next step: renew its heartbeat, remove lapsed workers, give up streams beyond its share, take
 * missing ones. Pure.
 */
export const nextStep = (
  { beats: beatsBefore, owners: ownersBefore }: LeaseTable,
  revision: number,
  view: LeaseView,
): LeaseStep => {
  const { worker, streams, lapsed, current, touched, mayTake } = view
  const beats: Record<string, number> = {}
  for (const [other, beat] of Object.entries(beatsBefore)) if (!lapsed.has(other)) beats[other] = beat
  // Derived from the revision that it replaces, so a number never repeats.
  beats[worker] = revision + 1

  const owners = new Map(Object.entries(ownersBefore).filter(([, owner]) => owner in beats))
  for (const stream of current) if (!owners.has(stream)) owners.set(stream, worker)

  const held = new Map(Object.keys(beats).map(other => [other, 0]))
  for (const stream of streams) {
    const owner = owners.get(stream)
    if (owner !== undefined) held.set(owner, (held.get(owner) ?? 0) + 1)
  }
  const share = sharesOf(streams.length, held).get(worker) ?? 0
  const isMine = (stream: string): boolean => owners.get(stream) === worker
  // Streams that it works on come first, so it gives up the others.
  const mine = streams
    .filter(isMine)
    .sort((a, b) => Number(current.includes(b)) - Number(current.includes(a)))
  for (const stream of mine.slice(share)) if (!touched.has(stream)) owners.delete(stream)
  const kept = mine.slice(0, share)
  if (mayTake)
    for (const stream of streams) {
      if (kept.length >= share) break
      if (owners.has(stream)) continue
      owners.set(stream, worker)
      kept.push(stream)
    }
  return {
    table: { beats, owners: Object.fromEntries(owners) },
    streams: streams.filter(stream => kept.includes(stream)),
  }
}

/** Returns the table without a worker and its streams. */
export const withoutWorker = ({ beats, owners }: LeaseTable, worker: string): LeaseTable => ({
  beats: Object.fromEntries(Object.entries(beats).filter(([other]) => other !== worker)),
  owners: Object.fromEntries(Object.entries(owners).filter(([, owner]) => owner !== worker)),
})

/**
 * Detects workers that stopped, using only this process's clock: clocks of different machines are never compared.
 * Time during which this process did not look does not count, so a process that was suspended or disconnected
 * observes a full period before it declares a worker dead.
 */
export class BeatWatch {
  readonly #lapseMs: number
  /** The maximum that one look counts for, ms. */
  readonly #mostMs: number
  readonly #seen = new Map<string, { beat: number; at: number }>()
  #watched = 0
  #lookedAt: number | undefined

  constructor(lapseMs: number, everyMs: number) {
    this.#lapseMs = lapseMs
    this.#mostMs = 2 * everyMs
  }

  /** Returns the workers whose heartbeat has not changed for too long. `now`: monotonic clock, ms. */
  look(beats: LeaseTable['beats'], now: number): Set<string> {
    this.#watched += Math.min(now - (this.#lookedAt ?? now), this.#mostMs)
    this.#lookedAt = now
    for (const worker of this.#seen.keys()) if (!(worker in beats)) this.#seen.delete(worker)
    const lapsed = new Set<string>()
    for (const [worker, beat] of Object.entries(beats)) {
      const seen = this.#seen.get(worker)
      if (seen?.beat !== beat) this.#seen.set(worker, { beat, at: this.#watched })
      else if (this.#watched - seen.at >= this.#lapseMs) lapsed.add(worker)
    }
    return lapsed
  }
}
