import type { CloseCode, HelloAnswer, HelloRequest, Push, Subprotocol } from '../events/index.ts'
import { backoff } from './backoff.ts'
import type { ConnectionState } from './client-types.ts'
import { closed, RequestError, type RequestErrorBody } from './request-error.ts'

export interface ConnectionOptions {
  readonly url: string
  readonly token: string | (() => string | Promise<string>)
  readonly device: string
  readonly backoffMs: number
  readonly maxBackoffMs: number
  readonly WebSocket: typeof WebSocket
  /** Returns the cursors to resume from, and their epoch; called for each connection. */
  resume(): { readonly cursors: Record<string, number>; readonly epoch: number }
  onState(state: ConnectionState): void
  onHello(answer: HelloAnswer): void
  /** Receives every frame except the answer to hello and `drain`. */
  onFrame(frame: { re: string; ok: boolean } | Push): void
  onError(error: Error & { code?: string }): void
}

type Code = (typeof CloseCode)[keyof typeof CloseCode]
const unauthenticated: Code = 4001
const replaced: Code = 4003
const revoked: Code = 4004
const subprotocol: (typeof Subprotocol)['json'] = 'confab.v1.json'

const helloId = 'hello'
const pingId = 'ping'
/** Timeout from asking for a token to the answer to hello, ms. */
const connectMs = 15_000
/** Timeout of the answer to a ping, ms; at most a heartbeat. */
const pongMs = 10_000
/** A connection that lasted this long resets the back-off, ms. */
const stableMs = 5_000

/**
 * Keeps one connection open until it is closed: back-off with jitter, a fresh token per attempt, drains, and pings
 * that detect dead sockets.
 */
export class Connection {
  readonly #options: ConnectionOptions
  #state: ConnectionState = 'closed'
  readonly #started: PromiseWithResolvers<HelloAnswer>
  #ended: RequestError | undefined
  #socket: WebSocket | undefined
  /** Counts attempts, so that callbacks of an earlier attempt are recognised and ignored. */
  #tries = 0
  #failed = 0
  #refused = false
  #greetedAt = 0
  #heardAt = 0
  #pingedAt = 0
  #retryTimer: ReturnType<typeof setTimeout> | undefined
  #watchTimer: ReturnType<typeof setTimeout> | undefined
  #drainTimer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#started = Promise.withResolvers<HelloAnswer>()
    this.#started.promise.catch(() => {})
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Connects; while waiting, connects at once. */
  connect(): Promise<HelloAnswer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    if (this.#state === 'closed' || this.#state === 'waiting') void this.#try()
    return this.#started.promise
  }

  /** Drops the connection and connects at once. */
  reconnect(): void {
    if (this.#ended === undefined) void this.#try()
  }

  /** Returns whether an open socket took the frame. */
  send(frame: object): boolean {
    if (this.#state !== 'open') return false
    this.#socket?.send(JSON.stringify(frame))
    return true
  }

  close(error: RequestError = closed('The client was closed.')): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.#release()
    this.#started.reject(error)
    this.#setState('closed')
  }

  async #try(): Promise<void> {
    this.#release()
    const mine = ++this.#tries
    this.#setState('connecting')
    const { url, device, token: source, WebSocket: Socket, resume } = this.#options
    this.#watchTimer = setTimeout(() => this.#wait(), connectMs)
    let token: string
    try {
      token = typeof source === 'string' ? source : await source()
    } catch (error) {
      if (mine !== this.#tries || this.#ended !== undefined) return
      this.#options.onError(error instanceof Error ? error : new Error(String(error)))
      this.#wait()
      return
    }
    if (mine !== this.#tries || this.#ended !== undefined) return
    let socket: WebSocket
    try {
      socket = new Socket(url, subprotocol)
    } catch (error) {
      this.#giveUp(closed(`No socket can be opened to ${url}: ${String(error)}`))
      return
    }
    this.#socket = socket
    socket.onopen = () => {
      this.#pingedAt = 0
      const { cursors, epoch } = resume()
      const hello: HelloRequest & { t: 'hello' } = {
        id: helloId,
        t: 'hello',
        token,
        device,
        ...(epoch > 1 ? { epoch } : {}),
        ...(Object.keys(cursors).length > 0 ? { resume: cursors } : {}),
      }
      socket.send(JSON.stringify(hello))
    }
    socket.onmessage = ({ data }) => this.#heard(data)
    socket.onclose = ({ code, reason }) => this.#lost(code, reason)
  }

  #heard(data: unknown): void {
    this.#heardAt = performance.now()
    let frame: { re: string; ok: boolean; error?: RequestErrorBody } | Push
    try {
      frame = JSON.parse(data as string)
      if (typeof frame !== 'object' || frame === null) throw new TypeError('not an object')
    } catch (error) {
      this.#options.onError(new Error(`invalid frame: ${String(error)}`))
      return
    }
    if ('re' in frame) {
      if (frame.re === helloId) this.#greeted(frame as typeof frame & HelloAnswer)
      else if (frame.re !== pingId) this.#options.onFrame(frame)
    } else if (frame.t === 'drain') this.#drain(frame.reconnectMs)
    else this.#options.onFrame(frame)
  }

  #greeted(answer: { ok: boolean; error?: RequestErrorBody } & HelloAnswer): void {
    if (!answer.ok) {
      const error = new RequestError(
        answer.error ?? { code: 'INTERNAL', message: 'hello was refused', retryable: false },
      )
      if (error.code === 'UNAUTHENTICATED') this.#lost(unauthenticated, error.message)
      else if (error.retryable) this.#wait(error.body.retryAfterMs)
      else this.#giveUp(error)
      return
    }
    clearTimeout(this.#watchTimer)
    this.#refused = false
    this.#greetedAt = performance.now()
    this.#watch(answer.heartbeatMs)
    this.#setState('open')
    this.#started.resolve(answer)
    this.#options.onHello(answer)
  }

  /**
   * Browsers hide transport pings, and a dead network closes no socket. So the client pings after silence, and
   * reconnects when the ping is not answered.
   */
  #watch(heartbeatMs: number): void {
    const now = performance.now()
    if (this.#pingedAt > this.#heardAt) {
      this.#wait()
      return
    }
    const silent = now - this.#heardAt >= heartbeatMs
    if (silent) {
      this.#pingedAt = now
      this.send({ id: pingId, t: 'ping' })
    }
    const next = silent ? Math.min(pongMs, heartbeatMs) : heartbeatMs - (now - this.#heardAt)
    this.#watchTimer = setTimeout(() => this.#watch(heartbeatMs), next)
  }

  #drain(reconnectMs: number): void {
    clearTimeout(this.#drainTimer)
    this.#drainTimer = setTimeout(() => void this.#try(), Math.random() * reconnectMs)
  }

  #lost(code: number, reason: string): void {
    if (code === replaced) this.#giveUp(closed('Another connection of this device replaced this one.'))
    else if (code === revoked)
      this.#giveUp(
        new RequestError({
          code: 'UNAUTHENTICATED',
          message: 'This session was ended on another device or by the operator.',
          retryable: false,
        }),
      )
    else if (code !== unauthenticated) this.#wait()
    else if (typeof this.#options.token === 'function' && !this.#refused) {
      this.#refused = true
      void this.#try()
    } else
      this.#giveUp(
        new RequestError({
          code: 'UNAUTHENTICATED',
          message: reason || 'The token was refused.',
          retryable: false,
        }),
      )
  }

  #giveUp(error: RequestError): void {
    this.close(error)
    this.#options.onError(error)
  }

  /** Waits for the next attempt. A time that the server asked for takes precedence. */
  #wait(atLeastMs = 0): void {
    const stable = this.#state === 'open' && performance.now() - this.#greetedAt >= stableMs
    const drainTimer = this.#drainTimer
    this.#drainTimer = undefined
    this.#release()
    this.#tries++
    if (stable) this.#failed = 0
    this.#setState('waiting')
    if (drainTimer !== undefined) {
      this.#drainTimer = drainTimer
      return
    }
    const { backoffMs, maxBackoffMs } = this.#options
    const ms = atLeastMs + backoff(this.#failed++, backoffMs, maxBackoffMs)
    this.#retryTimer = setTimeout(() => void this.#try(), ms)
  }

  /** Releases the socket and all timers without waiting for the close event: on a dead network it arrives late. */
  #release(): void {
    clearTimeout(this.#retryTimer)
    clearTimeout(this.#watchTimer)
    clearTimeout(this.#drainTimer)
    this.#drainTimer = undefined
    const socket = this.#socket
    this.#socket = undefined
    if (socket === undefined) return
    socket.onopen = null
    socket.onmessage = null
    socket.onclose = null
    socket.close()
  }

  #setState(state: ConnectionState): void {
    if (state === this.#state) return
    this.#state = state
    this.#options.onState(state)
  }
}
