/**
 * Who works on which stream in one group: a database of views with the workers that feed it. One entry, replaced as a whole, so that whoever reads it sees a
 * state that was.
 */
export interface LeaseTable {
  /** By worker, a number that is another one each time the worker says that it is there. */
  readonly beats: Readonly<Record<string, number>>
  /** By stream, the worker that has it. */
  readonly owners: Readonly<Record<string, string>>
}

/** Where lease tables are kept. Port; JetStream's is a key-value bucket. */
export interface LeaseStore {
  /** As its leader has it, never an older state. Where there is none, it is empty and of revision 0. Rejects when the store can't be reached. */
  read(group: string): Promise<{ readonly table: LeaseTable; readonly revision: number }>
  /**
   * Replaces the table that has this revision. Resolves with false, and has changed nothing, when it is at another one by now; after a rejection it may have
   * been replaced or not.
   */
  replace(group: string, table: LeaseTable, revision: number): Promise<boolean>
}

export const noLeases: LeaseTable = { beats: {}, owners: {} }

/** What a worker makes of a table. */
export interface LeaseStep {
  readonly table: LeaseTable
  /** Its streams from now on, once the table is stored; of those that it gives up, it keeps the lease until it has let go of them. */
  readonly streams: readonly string[]
}

export interface LeaseView {
  readonly worker: string
  readonly streams: readonly string[]
  /** Workers that have not been heard of for too long. */
  readonly lapsed: ReadonlySet<string>
  /** What it works on by its last step: goes on with that where nobody else has it. */
  readonly current: readonly string[]
  /** What it may not have let go of yet. */
  readonly touched: ReadonlySet<string>
  /** Whether it takes streams that nobody has. */
  readonly mayTake: boolean
}

/**
 * How many streams each worker may have: equal shares, and where they don't come out even, one more for those that have most, so that as few as can be change
 * hands. Everybody who sees the same table comes to the same answer.
 */
export const sharesOf = (streams: number, held: ReadonlyMap<string, number>): Map<string, number> => {
  const ranked = [...held].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
  const least = Math.floor(streams / ranked.length)
  const more = streams % ranked.length
  return new Map(ranked.map(([worker], i) => [worker, least + (i < more ? 1 : 0)]))
}

/** A worker's next step: says that it is there, forgets who has lapsed, gives up what is beyond its share and takes what it lacks. Pure. */
export const nextStep = (
  { beats: beatsBefore, owners: ownersBefore }: LeaseTable,
  revision: number,
  view: LeaseView,
): LeaseStep => {
  const { worker, streams, lapsed, current, touched, mayTake } = view
  const beats: Record<string, number> = {}
  for (const [other, beat] of Object.entries(beatsBefore)) if (!lapsed.has(other)) beats[other] = beat
  // Of the revision that it replaces: never the same number twice.
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
  // Those that it works on come first, so that it gives up the others.
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

/** A table without a worker and its streams. */
export const withoutWorker = ({ beats, owners }: LeaseTable, worker: string): LeaseTable => ({
  beats: Object.fromEntries(Object.entries(beats).filter(([other]) => other !== worker)),
  owners: Object.fromEntries(Object.entries(owners).filter(([, owner]) => owner !== worker)),
})

/**
 * Watches the workers of a table by this process's own clock: no two machines' clocks are ever compared. Time in which it did not look does not count: who comes
 * back from a pause or a lost connection has to look for as long as anybody else before it takes a worker for dead.
 */
export class BeatWatch {
  readonly #lapseMs: number
  /** What a look counts for at most. */
  readonly #mostMs: number
  readonly #seen = new Map<string, { beat: number; at: number }>()
  #watched = 0
  #lookedAt: number | undefined

  constructor(lapseMs: number, everyMs: number) {
    this.#lapseMs = lapseMs
    this.#mostMs = 2 * everyMs
  }

  /** The workers whose beat has stayed the same for too long. `now`: monotonic, ms. */
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
