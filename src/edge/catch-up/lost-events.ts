import {
  type ConversationView,
  currentEpoch,
  type Epochs,
  type EventLog,
  keptUpTo,
} from '../../commands/index.ts'
import { Family } from '../../events/index.ts'

/**
 * Finds cursors whose events are lost: only the former home of a stream had them, and the new home gave their sequences
 * to other events.
 */
export class LostEvents {
  readonly #epochs: Epochs
  readonly #log: EventLog
  readonly #unwatch: () => void
  #epoch: number

  constructor(epochs: Epochs, log: EventLog) {
    this.#epochs = epochs
    this.#log = log
    this.#epoch = currentEpoch(epochs)
    this.#unwatch = epochs.watch(() => {
      this.#epoch = currentEpoch(epochs)
    })
  }

  /** The current epoch. */
  get epoch(): number {
    return this.#epoch
  }

  close(): void {
    this.#unwatch()
  }

  /** Returns the last sequence that a stream has kept of its events of `epoch` and before. Infinity: all are kept. */
  keptUpTo(stream: string, epoch: number): number {
    return keptUpTo(this.#epochs.cutsOf(stream), epoch)
  }

  /**
   * Whether a client of `epoch` may have events of a conversation up to `seq` that are lost: a later epoch has stored
   * other events, or none, at `seq`. Reads the log only when the conversation has events after a cut. Rejects as reads
   * of the log do.
   */
  async has({ c, stream, streamSeq, head }: ConversationView, seq: number, epoch: number): Promise<boolean> {
    const kept = this.keptUpTo(stream, epoch)
    if (kept === Number.POSITIVE_INFINITY) return false
    if (streamSeq <= kept) return seq > head
    for await (const batch of this.#log.read({ family: Family.conversation, id: c }, kept))
      for (const { envelope } of batch) return seq >= envelope.seq
    return seq > head
  }
}
