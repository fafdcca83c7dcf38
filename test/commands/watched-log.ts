import { type AggregateRef, type StoredEvent, subjectOf } from '../../src/events/index.ts'
import { MemoryEventLog } from '../../src/infra/memory/index.ts'

/** A log that records which aggregates are read, and how many of them at once. It can lose first events. */
export class WatchedLog extends MemoryEventLog {
  /** Subjects of aggregates, in the order of the reads. */
  reads: string[] = []
  readonly lost = new Set<string>()
  atOnce = 0
  mostAtOnce = 0
  waitMs = 0

  override async *read(aggregate: AggregateRef, after: number): AsyncIterable<readonly StoredEvent[]> {
    const subject = subjectOf(aggregate)
    this.reads.push(subject)
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce)
    try {
      await new Promise(resolve => setTimeout(resolve, this.waitMs))
      for await (const batch of super.read(aggregate, after))
        yield this.lost.has(subject) ? batch.filter(({ envelope }) => envelope.seq > 1) : batch
    } finally {
      this.atOnce--
    }
  }
}
