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
  type AnswerOf,
  ConfabError,
  type ConversationRequest,
  type UserRequest,
} from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { ReplyInbox } from '../client/reply-inbox.ts'
import { CommandMembers } from './command-members.ts'
import { commandSubject, decodeAnswer, encodeCommand } from './command-wire.ts'
import { Attempt, type Attempts, type Call, type Lane, Probe } from './remote-call.ts'
import { RemoteLanes } from './remote-queues.ts'

const sweepMs = 250

const unavailable = (): ConfabError =>
  new ConfabError('UNAVAILABLE', 'Nobody who decides commands has answered in time; try again.')

/**
 * The command bus of a process that decides nothing itself: commands go to the processes with the role `commands`, those of one conversation to one of them,
 * and are sent again, with the same id, when it goes or stays silent. What is read comes from states that follow the log here.
 */
export class RemoteCommandBus implements CommandBus {
  readonly #nats: Nats
  readonly #states: FollowingStates
  readonly #limits: RemoteLimits
  readonly #inbox: ReplyInbox
  readonly #members: CommandMembers
  readonly #attempts: Attempts
  readonly #calls = new Set<Call>()
  readonly #lanes = new RemoteLanes()
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  readonly #name = nuid.next()
  #next = 0
  #resent = 0
  #idle: (() => void)[] = []

  constructor(nats: Nats, states: FollowingStates, limits: Partial<RemoteLimits> = {}) {
    this.#nats = nats
    this.#states = states
    this.#limits = { ...defaultRemoteLimits, ...limits }
    this.#attempts = {
      answered: (call, data) => this.#answered(call, data),
      nobody: (attempt, call) => this.#nobody(attempt, call),
    }
    this.#inbox = new ReplyInbox(nats, this.#limits.patienceMs)
    this.#members = new CommandMembers(nats, gone => {
      if (gone !== undefined) this.#recall(gone)
      this.#release()
    })
    this.#unlisten = nats.onChange(isConnected => {
      if (isConnected) this.#reconnected()
    })
    this.#timer = setInterval(() => this.#sweep(), sweepMs)
    this.#timer.unref()
  }

  /** Whether there is anybody to decide commands. */
  get isServed(): boolean {
    return this.#nats.connected() && this.#members.size > 0
  }

  /** Commands that are not answered. */
  get open(): number {
    return this.#calls.size
  }

  get load(): number {
    return this.#calls.size / this.#limits.open
  }

  /** Commands that were sent more than once, so far; each time counts. */
  get resent(): number {
    return this.#resent
  }

  execute<R extends ConversationRequest | UserRequest>(
    request: R,
    context: CommandContext,
  ): Promise<AnswerOf[R['t']]> {
    return new Promise((resolve, reject) => {
      if (this.#calls.size >= this.#limits.open) throw new ConfabError('OVERLOADED')
      const { from, at, traceparent, id = commandIdOf(request, from) } = context
      const order = this.#next++
      const command = { call: `${this.#name}.${order}`, id, from, at, request }
      const c = isUserRequest(request) ? undefined : request.c
      const call: Call = {
        lane: this.#lanes.of(c === undefined ? 'user' : 'conv', c ?? from),
        order,
        command: traceparent === undefined ? command : { ...command, traceparent },
        until: performance.now() + this.#limits.patienceMs,
        resolve: answer => {
          const { seq } = answer as { seq?: number }
          if (c !== undefined && seq !== undefined) this.#states.appended(c, seq)
          resolve(answer as AnswerOf[R['t']])
        },
        reject,
        sent: undefined,
        done: false,
      }
      this.#calls.add(call)
      const { lane } = call
      const member = this.#memberFor(lane)
      if (member === undefined || lane.held.length > 0) this.#lanes.hold(lane, call)
      else this.#send(call, member)
    })
  }

  drain(): Promise<void> {
    if (this.#calls.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#idle.push(resolve)
    })
  }

  /** What is unanswered is given up. */
  close(): void {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#members.close()
    for (const call of this.#calls) this.#end(call).reject(unavailable())
    this.#inbox.close()
  }

  /** Whom a lane's next command may go to now: the bucket's member, once nothing of the lane is with another. */
  #memberFor({ bucket, member, sent }: Lane): string | undefined {
    const assigned = this.#nats.connected() ? this.#members.of(bucket) : undefined
    return sent === 0 || assigned === member ? assigned : undefined
  }

  #send(call: Call, member: string): void {
    const { lane } = call
    lane.member = member
    lane.sent++
    this.#publish(call, member)
  }

  #publish(call: Call, member: string): void {
    const now = performance.now()
    const attempt = new Attempt(this.#attempts, call, member, now)
    call.sent = attempt
    const reply = this.#inbox.expect(attempt)
    const data = encodeCommand({ ...call.command, ttl: Math.max(0, call.until - now) })
    this.#nats.connection.publish(commandSubject(member), data, { reply })
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

  /** It has not arrived: the member is gone, or goes and takes no more. What it has taken before, it answers before it is gone. */
  #nobody(attempt: Attempt, call: Call): void {
    if (this.#members.has(attempt.member)) this.#members.lost(attempt.member)
    else if (call.sent === attempt && attempt.isFirst) {
      this.#takeBack(call)
      this.#releaseLane(call.lane)
    }
  }

  /** A call that was sent waits again. */
  #takeBack(call: Call): void {
    const { lane } = call
    call.sent = undefined
    lane.sent--
    this.#resent++
    this.#lanes.hold(lane, call)
  }

  /** Everything that is with a member waits again. */
  #recall(member: string): void {
    for (const call of this.#calls) if (call.sent?.member === member) this.#takeBack(call)
  }

  /** What was sent before may have been lost with the connection, or its answer. Who has it is asked again, and nobody else: it may be at it. */
  #reconnected(): void {
    for (const call of this.#calls) if (call.sent !== undefined) this.#again(call, call.sent.member)
    this.#release()
  }

  #again(call: Call, member: string): void {
    this.#resent++
    this.#publish(call, member)
  }

  #release(): void {
    for (const lane of this.#lanes.holding) this.#releaseLane(lane)
  }

  #releaseLane(lane: Lane): void {
    const member = this.#memberFor(lane)
    if (member === undefined) return
    for (const call of this.#lanes.takeHeld(lane)) this.#send(call, member)
    this.#lanes.tidy(lane)
  }

  /** Takes a call off, whatever has become of it. */
  #end(call: Call): Call {
    const { lane } = call
    call.done = true
    this.#calls.delete(call)
    if (call.sent !== undefined) lane.sent--
    if (lane.sent === 0 && lane.held.length > 0) this.#releaseLane(lane)
    else this.#lanes.tidy(lane)
    if (this.#calls.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
    return call
  }

  /**
   * Sends again what has had no answer for a while; and asks of those who have had a command for a shorter while whether anybody listens there: all that they
   * were sent may have been lost with them.
   */
  #askAgain(now: number): void {
    const slow = new Set<string>()
    for (const call of this.#calls) {
      if (call.until > now + this.#limits.patienceMs - sweepMs) break
      const { sent } = call
      if (sent === undefined) continue
      slow.add(sent.member)
      if (sent.at > now - this.#limits.tryMs) continue
      this.#again(call, sent.member)
    }
    for (const member of slow) {
      const reply = this.#inbox.expect(new Probe(member, this.#members))
      this.#nats.connection.publish(commandSubject(member), undefined, { reply })
    }
  }

  /** Calls are in the order of their deadlines. */
  #sweep(): void {
    const now = performance.now()
    for (const call of this.#calls) {
      if (call.until > now) break
      this.#end(call).reject(unavailable())
    }
    if (this.#nats.connected()) this.#askAgain(now)
    this.#lanes.dropEnded()
  }
}
