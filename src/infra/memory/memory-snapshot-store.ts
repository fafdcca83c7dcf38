import type { Snapshot, SnapshotStore } from '../../commands/index.ts'
import { type AggregateRef, subjectOf } from '../../events/index.ts'

/** Snapshots in memory. */
export class MemorySnapshotStore implements SnapshotStore {
  readonly #snapshots = new Map<string, Snapshot>()

  load(aggregate: AggregateRef): Promise<Snapshot | undefined> {
    return Promise.resolve(this.#snapshots.get(subjectOf(aggregate)))
  }

  save(aggregate: AggregateRef, snapshot: Snapshot): Promise<void> {
    this.#snapshots.set(subjectOf(aggregate), snapshot)
    return Promise.resolve()
  }
}
