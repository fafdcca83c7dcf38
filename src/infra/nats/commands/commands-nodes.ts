import { type Msg, nuid, type Subscription } from '@nats-io/transport-node'
import { fnv1a32, partitionCount } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import {
  type Announcement,
  CommandSubject,
  commandSubject,
  decodeAnnouncement,
  heartbeatMs,
  leaseMs,
  missedHeartbeats,
} from './command-wire.ts'

/** The finalizer of MurmurHash3: spreads hashes of FNV-1a, whose high bits differ little. */
const mixed = (hash: number): number => {
  let h = hash
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/**
 * Assigns each partition to a node by rendezvous hashing. Processes that know the same nodes compute the same table,
 * and a node that joins or leaves moves its own partitions only.
 */
export const assign = (nodes: readonly string[]): readonly (string | undefined)[] => {
  const hashes = nodes.map(node => fnv1a32(node))
  return Array.from({ length: partitionCount }, (_, partition) => {
    let best: string | undefined
    let highest = -1
    for (const [i, node] of nodes.entries()) {
      const weight = mixed(hashes[i]! ^ Math.imul(partition + 1, 0x9e3779b1))
      if (weight > highest) {
        highest = weight
        best = node
      }
    }
    return best
  })
}

/** A commands node that accepts commands. */
interface KnownNode {
  /** Consecutive heartbeats missed. */
  missed: number
  readonly serves: Announcement['serves']
}

/** The epoch under which a node decides the aggregates of a stream; undefined when it does not. */
const epochOf = ({ serves }: KnownNode, stream: string): number | undefined =>
  // A node that names no streams decides all of them, unless other nodes name theirs.
  serves === undefined ? 0 : serves[stream]

const isSame = (one: Announcement['serves'], other: Announcement['serves']): boolean => {
  if (one === undefined || other === undefined) return one === other
  const streams = Object.keys(one)
  return (
    streams.length === Object.keys(other).length && streams.every(stream => one[stream] === other[stream])
  )
}

/** The commands nodes that this process receives heartbeats from, and the partitions assigned to them. */
export class CommandsNodes {
  readonly #nats: Nats
  readonly #nodes = new Map<string, KnownNode>()
  /** Consecutive heartbeats missed by nodes that accept no more commands and still answer those they have. */
  readonly #leaving = new Map<string, number>()
  readonly #onChange: (gone: string | undefined) => void
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  readonly #unsubscribe: () => void
  #table: readonly (string | undefined)[] = []
  /** The nodes that serve a stream, and the partitions assigned to them. Filled when asked for. */
  readonly #tables = new Map<string, readonly (string | undefined)[]>()
  #areServingStreams = false

  /**
   * `onChange` is called when the assignment changes, with the node that answers no more, if one left. `region`: the
   * only region whose nodes count. Default: all.
   */
  constructor(nats: Nats, onChange: (gone: string | undefined) => void, region?: string) {
    this.#nats = nats
    this.#onChange = gone => {
      try {
        onChange(gone)
      } catch (error) {
        nats.listenerFailed(error, 'commands nodes')
      }
    }
    const subscription = nats.subscribe(CommandSubject.announcements, msg => {
      const announcement = decodeAnnouncement(msg.data)
      if (announcement === undefined) return
      const { member: node, state, serves } = announcement
      if (region !== undefined && announcement.region !== region) return
      if (state === 'here') this.#heartbeat(node, serves)
      else if (state === 'leaving') this.#leaves(node)
      else this.#left(node)
    })
    this.#unsubscribe = () => subscription.unsubscribe()
    this.#timer = setInterval(() => this.#check(), heartbeatMs)
    this.#timer.unref()
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#requestAnnouncements()
    })
    this.#requestAnnouncements()
  }

  get size(): number {
    return this.#nodes.size
  }

  /** Number of nodes that decide aggregates of some stream. */
  get deciding(): number {
    if (!this.#areServingStreams) return this.#nodes.size
    return [...this.#nodes.values()].filter(
      ({ serves }) => serves === undefined || Object.keys(serves).length > 0,
    ).length
  }

  /** Whether nodes name the streams that they decide: the system has several regions. */
  get areServingStreams(): boolean {
    return this.#areServingStreams
  }

  /** The node that a partition is assigned to, among all. Undefined when there is none. */
  of(partition: number): string | undefined {
    return this.#table[partition]
  }

  /** The node that a partition of a stream is assigned to, among those with the greatest epoch of the stream. */
  serving(stream: string, partition: number): string | undefined {
    let table = this.#tables.get(stream)
    if (table === undefined) {
      const greatest = this.#greatestEpoch(stream)
      const nodes = [...this.#nodes].filter(
        ([, node]) => greatest !== undefined && epochOf(node, stream) === greatest,
      )
      table = assign(nodes.map(([name]) => name).sort())
      this.#tables.set(stream, table)
    }
    return table[partition]
  }

  /** Whether a node accepts commands, and no longer those of a stream: another node has a greater epoch, or none. */
  hasLost(node: string, stream: string): boolean {
    const known = this.#nodes.get(node)
    if (known === undefined) return false
    const epoch = epochOf(known, stream)
    return epoch === undefined || epoch < (this.#greatestEpoch(stream) ?? 0)
  }

  /** Removes a node without a subscription, as NATS reported. */
  remove(node: string): void {
    this.#remove(node, node)
  }

  has(node: string): boolean {
    return this.#nodes.has(node)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#unsubscribe()
  }

  #requestAnnouncements(): void {
    if (this.#nats.connected()) this.#nats.connection.publish(CommandSubject.request)
  }

  #greatestEpoch(stream: string): number | undefined {
    let greatest: number | undefined
    for (const node of this.#nodes.values()) {
      const epoch = epochOf(node, stream)
      if (epoch !== undefined && epoch >= (greatest ?? 0)) greatest = epoch
    }
    return greatest
  }

  #heartbeat(name: string, serves: Announcement['serves']): void {
    this.#leaving.delete(name)
    const node = this.#nodes.get(name)
    if (node !== undefined && isSame(node.serves, serves)) {
      node.missed = 0
      return
    }
    this.#nodes.set(name, { missed: 0, serves })
    this.#changed(undefined)
  }

  #leaves(node: string): void {
    this.#leaving.set(node, 0)
    this.#remove(node, undefined)
  }

  #left(node: string): void {
    this.#leaving.delete(node)
    if (!this.#remove(node, node)) this.#onChange(node)
  }

  #remove(node: string, gone: string | undefined): boolean {
    const wasKnown = this.#nodes.delete(node)
    if (wasKnown) this.#changed(gone)
    return wasKnown
  }

  #changed(gone: string | undefined): void {
    this.#table = assign([...this.#nodes.keys()].sort())
    this.#tables.clear()
    this.#areServingStreams = [...this.#nodes.values()].some(({ serves }) => serves !== undefined)
    this.#onChange(gone)
  }

  #check(): void {
    if (!this.#nats.connected()) return
    for (const [name, node] of this.#nodes)
      if (node.missed >= missedHeartbeats) this.#remove(name, name)
      else node.missed++
    // A leaving node has no subscription, so only its own heartbeats show that it still answers.
    for (const [node, missed] of this.#leaving)
      if (missed >= missedHeartbeats) this.#left(node)
      else this.#leaving.set(node, missed + 1)
  }
}

/**
 * A name under which this process accepts commands. The registration is valid while edge nodes surely know the process
 * by that name. After a lost connection or a long pause they may have sent its commands to another node: the process
 * then decides none of them, and registers under another name.
 */
export class NodeRegistration {
  readonly name = nuid.next()
  /** Commands in progress, by call, each with the reply subjects of its attempts. */
  readonly inProgress = new Map<string, string[]>()
  readonly #subscription: Subscription
  /** When this process sent the last heartbeat that it also received, as by `performance.now()`. */
  #confirmedAt = performance.now()
  #hasEnded = false

  constructor(nats: Nats, receive: (registration: NodeRegistration, msg: Msg) => void) {
    this.#subscription = nats.subscribe(commandSubject(this.name), msg => receive(this, msg))
  }

  /** Whether the process may decide commands under this name now. */
  get isValid(): boolean {
    return !this.#hasEnded && performance.now() - this.#confirmedAt < leaseMs
  }

  /** Confirms the registration by a heartbeat of its own, sent at `at`. */
  confirm(at: number): void {
    if (this.isValid && at > this.#confirmedAt) this.#confirmedAt = at
  }

  end(): void {
    this.#hasEnded = true
    this.#subscription.unsubscribe()
  }

  /** Ends the subscription. Resolves when the messages in transit have arrived. */
  async drain(): Promise<void> {
    await this.#subscription.drain().catch(() => {})
  }
}
