import { nuid } from '@nats-io/transport-node'
import {
  type CommandBus,
  type CommandContext,
  commandIdOf,
  defaultRemoteLimits,
  type FollowingStates,
  isUserRequest,
  type RemoteLimits,
} from '../../../commands/index.ts'
import {
  type AggregateRef,
  type AnswerOf,
  ConfabError,
  type ConversationRequest,
  Family,
  type UserRequest,
} from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/connection.ts'
import { decodeAnswer, encodeCommand } from './command-wire.ts'
import { CommandsNodes } from './commands-nodes.ts'
import { Attempt, type AttemptResults, type Call, type CallQueue, CallQueues, Probe } from './remote-calls.ts'

/** Interval at which calls are checked for timeouts and retries, ms. */
const checkMs = 250

const unavailable = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'No commands node answered in time; try again.')

/**
 * The command bus of a process without the role `commands`. Sends all commands of a conversation to one commands node,
 * and sends them again, with the same id, when the node leaves or does not answer. Reads are served by states that
 * follow the log in this process.
 */
export class RemoteCommandBus implements CommandBus {
  readonly #nats: Nats
  readonly #states: FollowingStates
  readonly #limits: RemoteLimits
  readonly #inbox: ReplyInbox
  readonly #nodes: CommandsNodes
  readonly #results: AttemptResults
  readonly #streamOf: (aggregate: AggregateRef) => string
  /** In the order of their timeouts. */
  readonly #calls = new Set<Call>()
  readonly #queues = new CallQueues()
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  readonly #name = nuid.next()
  #next = 0
  #resent = 0
  #onIdle: (() => void)[] = []

  /** `streamOf`: the stream that holds an aggregate, for systems of several regions. */
  constructor(
    nats: Nats,
    states: FollowingStates,
    limits: Partial<RemoteLimits> = {},
    streamOf: (aggregate: AggregateRef) => string = ({ family }) => family,
  ) {
    this.#nats = nats
    this.#streamOf = streamOf
    this.#states = states
    this.#limits = { ...defaultRemoteLimits, ...limits }
    this.#results = {
      answered: (call, data) => this.#answered(call, data),
      notDelivered: (attempt, call) => this.#notDelivered(attempt, call),
      refused: call => this.#end(call).reject(unavailable()),
    }
    this.#inbox = new ReplyInbox(nats, this.#limits.timeoutMs)
    this.#nodes = new CommandsNodes(nats, gone => {
      if (gone !== undefined) this.#takeBackAll(gone)
      if (this.#nodes.areServingStreams) this.#takeBackLost()
      this.#sendWaiting()
    })
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#reconnected()
    })
    this.#timer = setInterval(() => this.#check(), checkMs)
    this.#timer.unref()
  }

  /** Whether there is a commands node that decides commands. */
  get isServed(): boolean {
    return this.#nats.connected() && this.#nodes.deciding > 0
  }

  /** Number of unanswered commands. */
  get open(): number {
    return this.#calls.size
  }

  get load(): number {
    return this.#calls.size / this.#limits.open
  }

  /** Number of repeated attempts since the start. */
  get resent(): number {
    return this.#resent
  }

  execute<R extends ConversationRequest | UserRequest>(
    request: R,
    context: CommandContext,
  ): Promise<AnswerOf[R['t']]> {
    return new Promise((resolve, reject) => {
      if (this.#calls.size >= this.#limits.open) throw new ConfabError('OVERLOADED')
      const { from, at, isImported, traceparent, id = commandIdOf(request, from) } = context
      const order = this.#next++
      const command = {
        call: `${this.#name}.${order}`,
        id,
        from,
        at,
        ...(isImported === undefined ? {} : { isImported }),
        ...(traceparent === undefined ? {} : { traceparent }),
        request,
      }
      const c = isUserRequest(request) ? undefined : request.c
      const call: Call = {
        queue: this.#queues.of(c === undefined ? Family.user : Family.conversation, c ?? from),
        order,
        command,
        until: performance.now() + this.#limits.timeoutMs,
        resolve: answer => {
          // The answer to `direct` names the conversation.
          const { seq, c: named = c } = answer as { seq?: number; c?: string }
          if (named !== undefined && seq !== undefined) this.#states.appended(named, seq)
          resolve(answer as AnswerOf[R['t']])
        },
        reject,
        attempt: undefined,
        done: false,
      }
      this.#calls.add(call)
      const { queue } = call
      const node = this.#nodeFor(queue)
      if (node === undefined || queue.waiting.length > 0) this.#queues.wait(queue, call)
      else this.#send(call, node)
    })
  }

  drain(): Promise<void> {
    if (this.#calls.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#onIdle.push(resolve)
    })
  }

  /** Rejects all unanswered commands with UNAVAILABLE. */
  close(): void {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#nodes.close()
    for (const call of this.#calls) this.#end(call).reject(unavailable())
    this.#inbox.close()
  }

  /** The node for the next command of a queue: the assigned one, once no command of the queue is at another node. */
  #nodeFor({ partition, node, sent, aggregate }: CallQueue): string | undefined {
    if (!this.#nats.connected()) return undefined
    const assigned = this.#nodes.areServingStreams
      ? this.#nodes.serving(this.#streamOf(aggregate), partition)
      : this.#nodes.of(partition)
    return sent === 0 || assigned === node ? assigned : undefined
  }

  #send(call: Call, node: string): void {
    const { queue } = call
    queue.node = node
    queue.sent++
    this.#publish(call, node)
  }

  #publish(call: Call, node: string): void {
    const now = performance.now()
    const attempt = new Attempt(this.#results, call, node, now)
    call.attempt = attempt
    const reply = this.#inbox.expect(attempt)
    const data = encodeCommand({ ...call.command, ttl: Math.max(0, call.until - now) })
    this.#nats.connection.publish(attempt.subject, data, { reply })
  }

  #answered(call: Call, data: Uint8Array): void {
    let answer: object
    try {
      answer = decodeAnswer(data)
    } catch (error) {
      this.#end(call).reject(
        ConfabError.is(error) ? error : new ConfabError('INTERNAL', undefined, { cause: error }),
      )
      return
    }
    this.#end(call).resolve(answer)
  }

  /** The node is gone, or is leaving and accepts no more commands. A leaving node still answers those it has. */
  #notDelivered(attempt: Attempt, call: Call): void {
    if (this.#nodes.has(attempt.node)) this.#nodes.remove(attempt.node)
    else if (call.attempt === attempt && attempt.isFirst) {
      this.#takeBack(call)
      this.#sendQueue(call.queue)
    }
  }

  /** Makes a call that was sent wait again. */
  #takeBack(call: Call): void {
    const { queue } = call
    call.attempt = undefined
    queue.sent--
    this.#resent++
    this.#queues.wait(queue, call)
  }

  #takeBackAll(node: string): void {
    for (const call of this.#calls) if (call.attempt?.node === node) this.#takeBack(call)
  }

  /**
   * Makes the calls wait again that are at nodes which no longer decide the stream. Such a node does not answer what it
   * has not appended, and the next home of the stream finds what it has by the command ids.
   */
  #takeBackLost(): void {
    for (const call of this.#calls) {
      const { attempt, queue } = call
      if (attempt !== undefined && this.#nodes.hasLost(attempt.node, this.#streamOf(queue.aggregate)))
        this.#takeBack(call)
    }
  }

  /**
   * Sends all commands again, each to the node that may have it: commands or answers may be lost with the connection.
   */
  #reconnected(): void {
    for (const call of this.#calls) if (call.attempt !== undefined) this.#resend(call, call.attempt.node)
    this.#sendWaiting()
  }

  #resend(call: Call, node: string): void {
    this.#resent++
    this.#publish(call, node)
  }

  #sendWaiting(): void {
    for (const queue of this.#queues.waiting) this.#sendQueue(queue)
  }

  #sendQueue(queue: CallQueue): void {
    const node = this.#nodeFor(queue)
    if (node === undefined) return
    for (const call of this.#queues.takeWaiting(queue)) this.#send(call, node)
    this.#queues.dropIfEmpty(queue)
  }

  /** Removes a call, whatever its outcome. */
  #end(call: Call): Call {
    const { queue } = call
    call.done = true
    this.#calls.delete(call)
    if (call.attempt !== undefined) queue.sent--
    if (queue.sent === 0 && queue.waiting.length > 0) this.#sendQueue(queue)
    else this.#queues.dropIfEmpty(queue)
    if (this.#calls.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve()
    return call
  }

  /** Sends slow commands again, and probes the nodes that have them: a node that is gone took its commands with it. */
  #retry(now: number): void {
    const slow = new Set<string>()
    for (const call of this.#calls) {
      if (call.until > now + this.#limits.timeoutMs - checkMs) break
      const { attempt } = call
      if (attempt === undefined) continue
      slow.add(attempt.node)
      if (attempt.at > now - this.#limits.tryMs) continue
      this.#resend(call, attempt.node)
    }
    for (const node of slow) {
      const probe = new Probe(node, this.#nodes)
      const reply = this.#inbox.expect(probe)
      this.#nats.connection.publish(probe.subject, undefined, { reply })
    }
  }

  #check(): void {
    const now = performance.now()
    for (const call of this.#calls) {
      if (call.until > now) break
      this.#end(call).reject(unavailable())
    }
    if (this.#nats.connected()) this.#retry(now)
    this.#queues.dropDone()
  }
}
