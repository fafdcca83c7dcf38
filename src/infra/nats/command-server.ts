import { type Msg, nuid, type Subscription } from '@nats-io/transport-node'
import type { CommandBus } from '../../commands/index.ts'
import { ConfabError } from '../../events/index.ts'
import {
  CommandSubject,
  commandSubject,
  decodeCommand,
  encodeAnnouncement,
  encodeAnswer,
  encodeFailure,
  heartbeatMs,
  type WireCommand,
} from './command-wire.ts'
import type { Nats } from './connection.ts'

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
  readonly #member = nuid.next()
  /** Where the answers to a call go: one place a try. */
  readonly #underWay = new Map<string, string[]>()
  #subscriptions: Subscription[] = []
  #timer: NodeJS.Timeout | undefined
  #idle: (() => void) | undefined

  constructor(nats: Nats, options: CommandServerOptions) {
    this.#nats = nats
    this.#options = options
  }

  /** Commands that are being decided. */
  get underWay(): number {
    return this.#underWay.size
  }

  /** From now on it gets its share. Resolves when the server knows of it. */
  async start(): Promise<void> {
    const { connection } = this.#nats
    this.#subscriptions = [
      connection.subscribe(commandSubject(this.#member), { callback: (_error, msg) => this.#take(msg) }),
      connection.subscribe(CommandSubject.who, { callback: () => this.#announce(false) }),
    ]
    await connection.flush()
    this.#announce(false)
    this.#timer = setInterval(() => this.#announce(false), heartbeatMs)
    this.#timer.unref()
  }

  /** Says that it goes, takes what is on its way to it, and resolves when all of it is answered. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    const [commands, who] = this.#subscriptions
    if (commands === undefined) return
    who?.unsubscribe()
    if (this.#nats.connected()) {
      this.#announce(true)
      await commands.drain().catch(() => {})
    } else commands.unsubscribe()
    if (this.#underWay.size === 0) return
    await new Promise<void>(resolve => {
      this.#idle = resolve
    })
  }

  #announce(leaving: boolean): void {
    // nats.js would keep it for the next connection; it is of now.
    if (!this.#nats.connected()) return
    this.#nats.connection.publish(
      CommandSubject.members,
      encodeAnnouncement({ member: this.#member, leaving }),
    )
  }

  #take(msg: Msg): void {
    const { reply } = msg
    if (reply === undefined || reply === '') return
    const started = performance.now()
    let command: WireCommand
    try {
      command = decodeCommand(msg.data)
    } catch (error) {
      this.#refuse([reply], 'unread', started, error)
      return
    }
    const { call, request, id, from, at, traceparent } = command
    const before = this.#underWay.get(call)
    if (before !== undefined) {
      before.push(reply)
      return
    }
    const replies = [reply]
    this.#underWay.set(call, replies)
    const context = traceparent === undefined ? { id, from, at } : { id, from, at, traceparent }
    this.#options.bus.execute(request, context).then(
      answer => {
        const data = encodeAnswer(answer)
        for (const to of replies) this.#answer(to, data)
        this.#options.onAnswered?.(request.t, 'ok', (performance.now() - started) / 1000)
        this.#ended(call)
      },
      error => {
        this.#refuse(replies, request.t, started, error)
        this.#ended(call)
      },
    )
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

  #ended(call: string): void {
    this.#underWay.delete(call)
    if (this.#underWay.size === 0) this.#idle?.()
  }
}
