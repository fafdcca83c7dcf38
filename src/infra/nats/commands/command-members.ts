import { type Msg, nuid, type Subscription } from '@nats-io/transport-node'
import { fnv1a32, partitionCount } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import {
  CommandSubject,
  commandSubject,
  decodeAnnouncement,
  heartbeatMs,
  leaseMs,
  missedBeats,
} from './command-wire.ts'

/** Spreads what FNV leaves alike in its high bits. (The end of MurmurHash3.) */
const mixed = (hash: number): number => {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Which of the members a bucket goes to, by rendezvous hashing: everybody who knows the same members says the same, and one that comes or goes moves its own buckets only. */
export const assign = (members: readonly string[]): readonly (string | undefined)[] => {
  const hashes = members.map(member => fnv1a32(member))
  return Array.from({ length: partitionCount }, (_, bucket) => {
    let best: string | undefined
    let most = -1
    for (const [i, member] of members.entries()) {
      const weight = mixed(hashes[i]! ^ Math.imul(bucket + 1, 0x9e3779b1))
      if (weight > most) {
        most = weight
        best = member
      }
    }
    return best
  })
}

/** The processes that decide commands, as this one hears of them. */
export class CommandMembers {
  readonly #nats: Nats
  /** Beats missed, by member. */
  readonly #missed = new Map<string, number>()
  /** The same, of those that take no more, and answer what they have taken until they are gone. */
  readonly #leaving = new Map<string, number>()
  readonly #onChange: (gone: string | undefined) => void
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  readonly #unsubscribe: () => void
  #table: readonly (string | undefined)[] = []

  /** `onChange` is told when the assignment changes, and who answers no more. */
  constructor(nats: Nats, onChange: (gone: string | undefined) => void) {
    this.#nats = nats
    this.#onChange = gone => {
      try {
        onChange(gone)
      } catch (error) {
        nats.listenerFailed(error, 'command members')
      }
    }
    const subscription = nats.subscribe(CommandSubject.members, msg => {
      const heard = decodeAnnouncement(msg.data)
      if (heard === undefined) return
      const { member, state } = heard
      if (state === 'here') this.#heard(member)
      else if (state === 'leaving') this.#leaves(member)
      else this.#gone(member)
    })
    this.#unsubscribe = () => subscription.unsubscribe()
    this.#timer = setInterval(() => this.#beat(), heartbeatMs)
    this.#timer.unref()
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#ask()
    })
    this.#ask()
  }

  get size(): number {
    return this.#missed.size
  }

  /** Whom commands of a bucket go to; undefined when there is nobody. */
  of(bucket: number): string | undefined {
    return this.#table[bucket]
  }

  /** Nobody listens there any more: NATS says so. */
  lost(member: string): void {
    this.#remove(member, member)
  }

  has(member: string): boolean {
    return this.#missed.has(member)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#unsubscribe()
  }

  #ask(): void {
    if (this.#nats.connected()) this.#nats.connection.publish(CommandSubject.who)
  }

  #heard(member: string): void {
    this.#leaving.delete(member)
    const isNew = !this.#missed.has(member)
    this.#missed.set(member, 0)
    if (isNew) this.#changed(undefined)
  }

  #leaves(member: string): void {
    this.#leaving.set(member, 0)
    this.#remove(member, undefined)
  }

  #gone(member: string): void {
    this.#leaving.delete(member)
    if (!this.#remove(member, member)) this.#onChange(member)
  }

  #remove(member: string, gone: string | undefined): boolean {
    const wasThere = this.#missed.delete(member)
    if (wasThere) this.#changed(gone)
    return wasThere
  }

  #changed(gone: string | undefined): void {
    this.#table = assign([...this.#missed.keys()].sort())
    this.#onChange(gone)
  }

  #beat(): void {
    if (!this.#nats.connected()) return
    for (const [member, missed] of this.#missed)
      if (missed >= missedBeats) this.#remove(member, member)
      else this.#missed.set(member, missed + 1)
    // Nobody listens there any more, which tells nothing: it says itself that it still answers.
    for (const [member, missed] of this.#leaving)
      if (missed >= missedBeats) this.#gone(member)
      else this.#leaving.set(member, missed + 1)
  }
}

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
    this.#subscription = nats.subscribe(commandSubject(this.name), msg => take(this, msg))
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
