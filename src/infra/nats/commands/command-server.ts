import type { Msg, Subscription } from '@nats-io/transport-node'
import { markLogged } from '../../../base/logged-errors.ts'
import { aggregateOf, type CommandBus } from '../../../commands/index.ts'
import { ConfabError } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { isInbox } from '../client/inboxes.ts'
import {
  type Announcement,
  CommandSubject,
  decodeAnnouncement,
  decodeCommand,
  encodeAnnouncement,
  encodeAnswer,
  encodeFailure,
  heartbeatMs,
  type ServedStreams,
  type WireCommand,
} from './command-wire.ts'
import { NodeRegistration } from './commands-nodes.ts'

export interface CommandServerOptions {
  readonly bus: Pick<CommandBus, 'execute'>
  /** Called with the cause of each INTERNAL that no other component has logged, and with failed answers. */
  readonly onError?: (error: unknown) => void
  /** `outcome`: `ok` or the error code. `seconds`: from receiving the command to answering it. */
  readonly onAnswered?: (type: string, outcome: string, seconds: number) => void
  /** The streams that this node decides in a system of several regions. Default: one region, and all commands. */
  readonly served?: ServedStreams | undefined
}

/** Executes commands that edge nodes in other processes send. Makes this process a commands node. */
export class CommandServer {
  readonly #nats: Nats
  readonly #options: CommandServerOptions
  #registration: NodeRegistration | undefined
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #unlisten = (): void => {}
  #unwatch = (): void => {}
  #isLeaving = false
  #onIdle: (() => void) | undefined

  constructor(nats: Nats, options: CommandServerOptions) {
    this.#nats = nats
    this.#options = options
  }

  /** Number of commands in progress. */
  get inProgress(): number {
    return this.#registration?.inProgress.size ?? 0
  }

  /** The name under which the process accepts commands now. */
  get node(): string | undefined {
    return this.#registration?.name
  }

  /** Accepts commands from now on. Resolves when the NATS server has the subscription. */
  async start(): Promise<void> {
    const { connection } = this.#nats
    this.#subscriptions = [
      this.#nats.subscribe(CommandSubject.request, () =>
        this.#announce(this.#isLeaving ? 'leaving' : 'here'),
      ),
      this.#nats.subscribe(CommandSubject.announcements, msg => {
        const announcement = decodeAnnouncement(msg.data)
        if (announcement?.member === this.#registration?.name)
          this.#registration?.confirm(announcement?.at ?? 0)
      }),
    ]
    this.#registration = this.#register()
    this.#unlisten = this.#nats.onChange(isConnected => {
      if (isConnected) this.#registerAgain()
      else this.#registration?.end()
    })
    await connection.flush()
    this.#announce('here')
    // At once: edge nodes send no more commands for a stream that this node has lost.
    this.#unwatch = this.#options.served?.watch(() => this.#heartbeat()) ?? this.#unwatch
    this.#timer = setInterval(() => this.#heartbeat(), heartbeatMs)
    this.#timer.unref()
  }

  /** Announces that the process leaves, receives the commands in transit, and resolves when all are answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#unlisten()
    this.#unwatch()
    const registration = this.#registration
    if (registration === undefined) return
    this.#isLeaving = true
    const heartbeats = setInterval(() => this.#announce('leaving'), heartbeatMs)
    if (this.#nats.connected()) {
      const disconnected = new Promise<void>(resolve => {
        this.#unlisten = this.#nats.onChange(() => resolve())
      })
      this.#announce('leaving')
      await Promise.race([registration.drain(), disconnected])
      this.#unlisten()
    }
    // Without a connection, no command arrives and no answer leaves.
    if (!this.#nats.connected()) registration.end()
    if (registration.inProgress.size > 0)
      await new Promise<void>(resolve => {
        this.#onIdle = resolve
      })
    clearInterval(heartbeats)
    this.#announce('gone')
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#registration = undefined
  }

  #register(): NodeRegistration {
    return new NodeRegistration(this.#nats, (registration, msg) => this.#receive(registration, msg))
  }

  /** Registers under a new name. The commands that were sent to the old name are not decided here. */
  #registerAgain(): void {
    this.#registration?.end()
    this.#announce('gone')
    this.#registration = this.#register()
    this.#announce('here')
  }

  #heartbeat(): void {
    if (this.#registration?.isValid === true) this.#announce('here')
    else if (this.#nats.connected()) this.#registerAgain()
  }

  #announce(state: Announcement['state']): void {
    const member = this.#registration?.name
    // nats.js would keep the message for the next connection, when it is out of date.
    if (member === undefined || !this.#nats.connected()) return
    const { served } = this.#options
    const announcement = {
      member,
      state,
      at: performance.now(),
      ...(served === undefined ? {} : { region: served.region, serves: Object.fromEntries(served.epochs()) }),
    }
    this.#nats.connection.publish(CommandSubject.announcements, encodeAnnouncement(announcement))
  }

  /** Whether this node decides a command. In a system of several regions, the home of the stream decides. */
  #serves({ request, from }: Pick<WireCommand, 'request' | 'from'>): boolean {
    const { served } = this.#options
    return served === undefined || served.epochOf(served.streamOf(aggregateOf(request, from))) !== undefined
  }

  #receive(registration: NodeRegistration, msg: Msg): void {
    const { reply } = msg
    // An empty message only asks NATS whether this node subscribes. Without a valid registration, the edge node has
    // sent the command to another node, or will send it again.
    if (!isInbox(reply) || msg.data.length === 0 || !registration.isValid) return
    const startedAt = performance.now()
    let command: WireCommand
    try {
      command = decodeCommand(msg.data)
    } catch (error) {
      this.#answerError([reply], 'unread', startedAt, error)
      return
    }
    // The edge node takes the command back when it receives the next announcement of this node.
    if (!this.#serves(command)) return
    const { inProgress } = registration
    const { call, request, id, from, at, isImported, traceparent, ttl } = command
    const earlier = inProgress.get(call)
    if (earlier !== undefined) {
      earlier.push(reply)
      return
    }
    const replies = [reply]
    inProgress.set(call, replies)
    const isWanted = (): boolean =>
      registration.isValid && performance.now() < startedAt + ttl && this.#serves(command)
    const context = {
      id,
      from,
      at,
      isWanted,
      ...(isImported === undefined ? {} : { isImported }),
      ...(traceparent === undefined ? {} : { traceparent }),
    }
    const ended = (): void => {
      inProgress.delete(call)
      if (registration === this.#registration && inProgress.size === 0) this.#onIdle?.()
    }
    this.#options.bus
      .execute(request, context)
      .then(
        answer => {
          const data = encodeAnswer(answer)
          for (const to of replies) this.#send(to, data)
          this.#options.onAnswered?.(request.t, 'ok', (performance.now() - startedAt) / 1000)
        },
        error => {
          // Otherwise the node that has the command now answers it.
          if (isWanted()) this.#answerError(replies, request.t, startedAt, error)
        },
      )
      .finally(ended)
      .catch(error => this.#nats.listenerFailed(error, 'answered commands'))
  }

  #answerError(replies: readonly string[], type: string, startedAt: number, error: unknown): void {
    const visible = ConfabError.from(error)
    const cause = visible.cause ?? visible
    if (visible.code === 'INTERNAL' && markLogged(cause)) this.#options.onError?.(cause)
    const data = encodeFailure(visible.toBody())
    for (const to of replies) this.#send(to, data)
    this.#options.onAnswered?.(type, visible.code, (performance.now() - startedAt) / 1000)
  }

  /** Sends an answer. While disconnected, nats.js keeps it; the edge node asks again for an answer that was lost. */
  #send(to: string, data: string): void {
    try {
      this.#nats.connection.publish(to, data)
    } catch (error) {
      this.#options.onError?.(error)
    }
  }
}
