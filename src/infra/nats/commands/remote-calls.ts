import type { Msg } from '@nats-io/transport-node'
import { type AggregateRef, type Family, partitionOf } from '../../../events/index.ts'
import type { PendingRequest, RequestFailure } from '../client/connection.ts'
import { headerText, statusIn } from '../client/raw-message.ts'
import { commandSubject, type WireCommand } from './command-wire.ts'

/** A command that is not answered yet. */
export interface Call {
  readonly queue: CallQueue
  /** Calls are sent in this order. */
  readonly order: number
  readonly command: Omit<WireCommand, 'ttl'>
  /** When the call times out, as by `performance.now()`. */
  readonly until: number
  readonly resolve: (answer: object) => void
  readonly reject: (error: Error) => void
  /** The latest attempt. Undefined while the call waits for a commands node. */
  attempt: Attempt | undefined
  done: boolean
}

/**
 * The unanswered commands of one conversation or user. All of them are at one commands node, so that they keep their
 * order when nodes join or leave.
 */
export interface CallQueue {
  readonly key: string
  readonly aggregate: AggregateRef
  readonly partition: number
  node: string | undefined
  /** Number of calls that are at the node. */
  sent: number
  /** Calls that wait to be sent. Some of them may be done. */
  waiting: Call[]
}

/** Whether a reply is the message by which NATS reports that nothing subscribes to the subject. */
const isNoResponders = (msg: Msg): boolean => msg.data.length === 0 && statusIn(headerText(msg)) === 503

/** The outcomes that an attempt reports to the command bus. */
export interface AttemptResults {
  /** The commands node answered, with a result or an error. */
  answered(call: Call, data: Uint8Array): void
  /** The command did not arrive: nothing subscribes to the subject of the node. */
  notDelivered(attempt: Attempt, call: Call): void
  /** This process may not send commands. */
  refused(call: Call): void
}

/** One message that carried a command. An answer to any attempt answers the call. */
export class Attempt implements PendingRequest {
  deadline = 0
  readonly subject: string
  readonly node: string
  /** When it was sent, as by `performance.now()`. */
  readonly at: number
  /** Whether it is the first at this node: if it does not arrive, the node does not have the command. */
  readonly isFirst: boolean
  readonly #results: AttemptResults
  readonly #call: Call

  constructor(results: AttemptResults, call: Call, node: string, at: number) {
    this.isFirst = call.attempt?.node !== node
    this.#results = results
    this.#call = call
    this.subject = commandSubject(node)
    this.node = node
    this.at = at
  }

  answer(msg: Msg): boolean {
    if (this.#call.done) return true
    if (isNoResponders(msg)) this.#results.notDelivered(this, this.#call)
    else this.#results.answered(this.#call, msg.data)
    return true
  }

  /** The bus has timeouts of its own, and accepts an answer for as long as the call lasts. */
  fail(why: RequestFailure): void {
    if (why === 'refused' && !this.#call.done) this.#results.refused(this.#call)
  }
}

/** An empty message to a commands node. The node ignores it; NATS reports when nothing subscribes to the subject. */
export class Probe implements PendingRequest {
  deadline = 0
  readonly subject: string
  readonly #node: string
  readonly #nodes: { remove(node: string): void }

  constructor(node: string, nodes: { remove(node: string): void }) {
    this.subject = commandSubject(node)
    this.#node = node
    this.#nodes = nodes
  }

  answer(msg: Msg): boolean {
    if (isNoResponders(msg)) this.#nodes.remove(this.#node)
    return true
  }

  fail(): void {}
}

/** The queues of all conversations and users with unanswered commands. */
export class CallQueues {
  readonly #queues = new Map<string, CallQueue>()
  readonly #waiting = new Set<CallQueue>()

  of(family: Family, id: string): CallQueue {
    const key = `${family}.${id}`
    let queue = this.#queues.get(key)
    if (queue === undefined) {
      queue = {
        key,
        aggregate: { family, id },
        partition: partitionOf(id),
        node: undefined,
        sent: 0,
        waiting: [],
      }
      this.#queues.set(key, queue)
    }
    return queue
  }

  /** Queues with calls that wait to be sent. */
  get waiting(): Iterable<CallQueue> {
    return this.#waiting
  }

  wait(queue: CallQueue, call: Call): void {
    queue.waiting.push(call)
    this.#waiting.add(queue)
  }

  /** Removes the waiting calls of a queue and returns them in order. */
  takeWaiting(queue: CallQueue): readonly Call[] {
    const waiting = queue.waiting.filter(call => !call.done).sort((one, other) => one.order - other.order)
    queue.waiting = []
    return waiting
  }

  /** Drops a queue that is empty. */
  dropIfEmpty(queue: CallQueue): void {
    if (queue.waiting.length > 0) return
    this.#waiting.delete(queue)
    if (queue.sent === 0) this.#queues.delete(queue.key)
  }

  /** Drops calls that ended while they waited. */
  dropDone(): void {
    for (const queue of this.#waiting) {
      queue.waiting = queue.waiting.filter(call => !call.done)
      this.dropIfEmpty(queue)
    }
  }
}
