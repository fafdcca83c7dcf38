import { type Msg, nuid, type Subscription } from '@nats-io/transport-node'
import { commandSubject, leaseMs } from './command-wire.ts'
import type { Nats } from './connection.ts'

/**
 * One name under which a process decides commands, for as long as it can be sure that edges know it by that name. After a lost connection, or when it stood still,
 * they may have given its commands to others: it decides none of them any more, and takes another name.
 */
export class CommandMembership {
  readonly name = nuid.next()
  /** Commands that are being decided, and where the answers to each go: one place a try. */
  readonly underWay = new Map<string, string[]>()
  readonly #subscription: Subscription
  /** `performance.now()` at which it sent the last beat that it has heard itself. */
  #heardAt = performance.now()
  #isOver = false

  constructor(nats: Nats, take: (membership: CommandMembership, msg: Msg) => void) {
    this.#subscription = nats.connection.subscribe(commandSubject(this.name), {
      callback: (_error, msg) => take(this, msg),
    })
  }

  /** Whether it may decide now. */
  get isGood(): boolean {
    return !this.#isOver && performance.now() - this.#heardAt < leaseMs
  }

  /** It has heard a beat of its own, which it sent at `at`. */
  heard(at: number): void {
    if (this.isGood && at > this.#heardAt) this.#heardAt = at
  }

  end(): void {
    this.#isOver = true
    this.#subscription.unsubscribe()
  }

  /** Takes no more than what is on its way; resolves when that has come. */
  async leave(): Promise<void> {
    await this.#subscription.drain().catch(() => {})
  }
}
