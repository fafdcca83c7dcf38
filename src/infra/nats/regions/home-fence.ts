import type { WriteFence } from '../log/jetstream-event-log.ts'
import type { Lease } from './lease.ts'
import type { MirrorAcks } from './mirror-acks.ts'

/** Guards the log of a commands node: it writes under a lease, and acknowledges when a mirror has the event, too. */
export class HomeFence implements WriteFence {
  readonly #lease: Lease
  readonly #mirrors: MirrorAcks | undefined

  /** `mirrors`: undefined when the topology asks for no acknowledgements of mirrors. */
  constructor(lease: Lease, mirrors?: MirrorAcks) {
    this.#lease = lease
    this.#mirrors = mirrors
  }

  mayWrite(stream: string): boolean {
    return this.#lease.mayWrite(stream)
  }

  /**
   * Resolves with whether an answer may be given that depends on the events of a stream up to a position, and on those
   * that this process has stored. A command that was sent again is answered by such an event.
   */
  async confirm(stream: string, streamSeq: number): Promise<boolean> {
    const end = Math.max(streamSeq, this.#lease.storedIn(stream))
    const mirrored = await new Promise<boolean>(resolve => {
      if (this.#mirrors?.holds(stream, end, resolve) !== true) resolve(true)
    })
    return mirrored && this.mayWrite(stream)
  }

  holds(stream: string, streamSeq: number, release: (mayAck: boolean) => void): boolean {
    this.#lease.onStored(stream, streamSeq)
    return this.#mirrors?.holds(stream, streamSeq, release) === true
  }
}
