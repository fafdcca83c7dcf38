import { setTimeout as sleep } from 'node:timers/promises'
import type { Acked } from '../harness/invariants.ts'
import { RawClient } from '../harness/raw-client.ts'
import { now } from './clock.ts'

/** A message that was acknowledged, and when: ms since 1970. */
export interface TimedAck extends Acked {
  readonly at: number
  /** The region whose edge node answered. */
  readonly edge: string
}

/** The public addresses of the edge nodes of each region, as they are now: `http://…`. */
export type Edges = Map<string, string>

export interface SenderOptions {
  readonly user: string
  readonly token: string
  readonly conversations: readonly string[]
  /** The region whose edge node it uses. */
  readonly region: string
  readonly edges: Edges
  readonly pauseMs: number
  /** Called when a message is acknowledged. */
  readonly onAck: (ack: TimedAck) => void
}

/** Refusals in a row after which a sender takes the edge node of another region. Without an answer it does at once. */
const movesAfter = 2
/** Timeout of a request, ms; then the socket counts as dead. */
const answersWithinMs = 5_000
const pauseAfterRefusalMs = 50

/**
 * A client that sends one message after another, and repeats each with its id until it is acknowledged. It goes to the
 * edge node of another region when its own refuses, or is silent.
 */
export class Sender {
  readonly user: string
  readonly #options: SenderOptions
  readonly #done: Promise<void>
  #region: string
  #client: RawClient | undefined
  #isEnding = false

  constructor(options: SenderOptions) {
    this.user = options.user
    this.#options = options
    this.#region = options.region
    this.#done = this.#run()
  }

  /** Uses the edge node of its own region again. */
  return(): void {
    this.#region = this.#options.region
    this.#disconnect()
  }

  /** Sends no further message; resolves when the last one is acknowledged. */
  async end(): Promise<void> {
    this.#isEnding = true
    await this.#done
  }

  async #run(): Promise<void> {
    const { user, conversations, pauseMs, onAck } = this.#options
    for (let n = 0; !this.#isEnding; n++) {
      const c = conversations[n % conversations.length] as string
      const message = { c, m: `${user}-${n}`, text: `word${n % 7} from ${user} number ${n}` }
      const seq = await this.#untilAcked(message)
      onAck({ ...message, from: user, seq, at: now(), edge: this.#region })
      await sleep(pauseMs)
    }
    this.#disconnect()
  }

  async #untilAcked(message: { c: string; m: string; text: string }): Promise<number> {
    for (let refusals = 1; ; refusals++) {
      const answer = await this.#request(message)
      if (answer?.ok === true) return Number(answer.seq)
      const error = answer?.error as { code: string; retryable: boolean } | undefined
      if (error !== undefined && !error.retryable)
        throw new Error(`${message.m} was refused: ${JSON.stringify(error)}`)
      if (answer === undefined || refusals % movesAfter === 0) this.#move()
      await sleep(pauseAfterRefusalMs)
    }
  }

  /** One attempt. Returns undefined without an answer. */
  async #request(message: Record<string, unknown>): Promise<Record<string, unknown> | undefined> {
    try {
      this.#client ??= await this.#connect()
      return await this.#client.request('send', message)
    } catch {
      return undefined
    }
  }

  async #connect(): Promise<RawClient> {
    const { edges, token, user } = this.#options
    const url = edges.get(this.#region) as string
    const client = await RawClient.open(`${url.replace('http', 'ws')}/v1/ws`, { patienceMs: answersWithinMs })
    await client.ok('hello', { token, device: user })
    return client
  }

  #disconnect(): void {
    this.#client?.close()
    this.#client = undefined
  }

  #move(): void {
    const regions = [...this.#options.edges.keys()]
    this.#region = regions[(regions.indexOf(this.#region) + 1) % regions.length] as string
    this.#disconnect()
  }
}
