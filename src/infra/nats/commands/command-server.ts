import type { Msg, Subscription } from '@nats-io/transport-node'
import type { CommandBus } from '../../../commands/index.ts'
import { ConfabError } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { CommandMembership } from './command-members.ts'
import {
  type Announcement,
  CommandSubject,
  decodeAnnouncement,
  decodeCommand,
  encodeAnnouncement,
  encodeAnswer,
  encodeFailure,
  heartbeatMs,
  type WireCommand,
} from './command-wire.ts'

export interface CommandServerOptions {
  readonly bus: Pick<CommandBus, 'execute'>
  /** Told of errors that are no ConfabError. */
  readonly onError?: (error: unknown) => void
  /** `outcome` is `ok` or the code of the error; `seconds` from the message to its answer. */
  readonly onAnswered?: (type: string, outcome: string, seconds: number) => void
}

/** Takes commands that edges in other processes send, and answers them. One more member of those that share them out. */
export class CommandServer {
  readonly #nats: Nats
  readonly #options: CommandServerOptions
  #membership: CommandMembership | undefined
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #unlisten = (): void => {}
  #isLeaving = false
  #idle: (() => void) | undefined

  constructor(nats: Nats, options: CommandServerOptions) {
    this.#nats = nats
    this.#options = options
  }

  /** Commands that are being decided. */
  get underWay(): number {
    return this.#membership?.underWay.size ?? 0
  }

  /** The name under which it decides commands now. */
  get member(): string | undefined {
    return this.#membership?.name
  }

  /** From now on it gets its share. Resolves when the server knows of it. */
  async start(): Promise<void> {
    const { connection } = this.#nats
    this.#subscriptions = [
      this.#nats.subscribe(CommandSubject.who, () => this.#announce(this.#isLeaving ? 'leaving' : 'here')),
      this.#nats.subscribe(CommandSubject.members, msg => {
        const heard = decodeAnnouncement(msg.data)
        if (heard?.member === this.#membership?.name) this.#membership?.heard(heard?.at ?? 0)
      }),
    ]
    this.#membership = this.#join()
    this.#unlisten = this.#nats.onChange(isConnected => {
      if (isConnected) this.#rename()
      else this.#membership?.end()
    })
    await connection.flush()
    this.#announce('here')
    this.#timer = setInterval(() => this.#beat(), heartbeatMs)
    this.#timer.unref()
  }

  /** Says that it goes, takes what is on its way to it, and resolves when all of it is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#unlisten()
    const membership = this.#membership
    if (membership === undefined) return
    this.#isLeaving = true
    const beating = setInterval(() => this.#announce('leaving'), heartbeatMs)
    if (this.#nats.connected()) {
      const disconnected = new Promise<void>(resolve => {
        this.#unlisten = this.#nats.onChange(() => resolve())
      })
      this.#announce('leaving')
      await Promise.race([membership.leave(), disconnected])
      this.#unlisten()
    }
    // Without a connection nothing comes, and nobody hears an answer.
    if (!this.#nats.connected()) membership.end()
    if (membership.underWay.size > 0)
      await new Promise<void>(resolve => {
        this.#idle = resolve
      })
    clearInterval(beating)
    this.#announce('gone')
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#membership = undefined
  }

  #join(): CommandMembership {
    return new CommandMembership(this.#nats, (membership, msg) => this.#take(membership, msg))
  }

  /** What was given to it under its old name, it has nothing to do with any more. */
  #rename(): void {
    this.#membership?.end()
    this.#announce('gone')
    this.#membership = this.#join()
    this.#announce('here')
  }

  #beat(): void {
    if (this.#membership?.isGood === true) this.#announce('here')
    else if (this.#nats.connected()) this.#rename()
  }

  #announce(state: Announcement['state']): void {
    const member = this.#membership?.name
    // nats.js would keep it for the next connection; it is of now.
    if (member === undefined || !this.#nats.connected()) return
    const announcement = { member, state, at: performance.now() }
    this.#nats.connection.publish(CommandSubject.members, encodeAnnouncement(announcement))
  }

  #take(membership: CommandMembership, msg: Msg): void {
    const { reply } = msg
    // Without a command it only asks whether anybody listens. One that comes too late is with another by now, or comes again.
    if (reply === undefined || reply === '' || msg.data.length === 0 || !membership.isGood) return
    const started = performance.now()
    let command: WireCommand
    try {
      command = decodeCommand(msg.data)
    } catch (error) {
      this.#refuse([reply], 'unread', started, error)
      return
    }
    const { underWay } = membership
    const { call, request, id, from, at, traceparent, ttl } = command
    const before = underWay.get(call)
    if (before !== undefined) {
      before.push(reply)
      return
    }
    const replies = [reply]
    underWay.set(call, replies)
    const isWanted = (): boolean => membership.isGood && performance.now() < started + ttl
    const context = { id, from, at, isWanted }
    const ended = (): void => {
      underWay.delete(call)
      if (membership === this.#membership && underWay.size === 0) this.#idle?.()
    }
    this.#options.bus
      .execute(request, traceparent === undefined ? context : { ...context, traceparent })
      .then(
        answer => {
          const data = encodeAnswer(answer)
          for (const to of replies) this.#answer(to, data)
          this.#options.onAnswered?.(request.t, 'ok', (performance.now() - started) / 1000)
        },
        error => {
          // Whoever has it now answers.
          if (isWanted()) this.#refuse(replies, request.t, started, error)
        },
      )
      .finally(ended)
      .catch(error => this.#nats.listenerFailed(error, 'answered commands'))
  }

  #refuse(replies: readonly string[], type: string, started: number, error: unknown): void {
    const visible = ConfabError.is(error) ? error : new ConfabError('INTERNAL')
    if (visible.code === 'INTERNAL') this.#options.onError?.(visible.cause ?? error)
    const data = encodeFailure(visible.toBody())
    for (const to of replies) this.#answer(to, data)
    this.#options.onAnswered?.(type, visible.code, (performance.now() - started) / 1000)
  }

  /** While the connection is away, nats.js keeps answers for the next one. One that gets lost is asked for again. */
  #answer(to: string, data: string): void {
    try {
      this.#nats.connection.publish(to, data)
    } catch (error) {
      this.#options.onError?.(error)
    }
  }
}
