import { setTimeout as sleep } from 'node:timers/promises'

export type Fields = Record<string, unknown>

/** A message of an event stream, with the current id. */
export interface StreamMessage {
  readonly id: string
  readonly data: Fields
}

/**
 * Reads an event stream as HTML describes `EventSource` (9.2), plus an authorization header: it keeps the last id,
 * reconnects with it, and interprets nothing.
 */
export class EventSourceClient {
  readonly messages: StreamMessage[] = []
  /** Blocks that contain only comments and ids. */
  comments = 0
  connections = 0
  /** The status of a refusal; the client then stays disconnected. */
  refused: number | undefined
  lastEventId: string
  retryMs = 50
  readonly #url: () => string
  readonly #token: string
  /** The longest wait before a reconnect, ms: for missing some events. */
  readonly #awayMs: number
  #abort = new AbortController()
  #isStopped = false
  readonly #running: Promise<void>

  /** `url`: of the server, or a function that returns the next one. */
  constructor(
    url: string | (() => string),
    token: string,
    options: { lastEventId?: string; awayMs?: number } = {},
  ) {
    this.#url = typeof url === 'string' ? () => url : url
    this.#token = token
    this.lastEventId = options.lastEventId ?? ''
    this.#awayMs = options.awayMs ?? 20
    this.#running = this.#run()
  }

  events(c: string): Fields[] {
    return this.messages.filter(({ data }) => data.t === 'event' && data.c === c).map(({ data }) => data)
  }

  of(t: string): Fields[] {
    return this.messages.filter(({ data }) => data.t === t).map(({ data }) => data)
  }

  async until(holds: () => boolean, patienceMs = 20_000): Promise<void> {
    for (const end = Date.now() + patienceMs; !holds(); await sleep(5))
      if (Date.now() > end)
        throw new Error(
          `it did not come; last: ${JSON.stringify(this.messages.slice(-3))}, refused: ${this.refused}`,
        )
  }

  /** Cuts the connection, like a network failure. */
  cut(): void {
    this.#abort.abort()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#isStopped && this.refused === undefined) {
      this.#abort = new AbortController()
      await this.#connection(this.#abort.signal).catch(() => {})
      if (!this.#isStopped) await sleep(Math.random() * this.#awayMs)
    }
  }

  async #connection(signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.#token}`,
      accept: 'text/event-stream',
    }
    if (this.lastEventId !== '') headers['last-event-id'] = this.lastEventId
    const answer = await fetch(`${this.#url()}/v1/stream`, { headers, signal })
    if (answer.status !== 200 || answer.body === null) {
      if (answer.status !== 503) this.refused = answer.status
      await answer.body?.cancel()
      return
    }
    this.connections++
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of answer.body) {
      text += decoder.decode(chunk as Uint8Array, { stream: true })
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        this.#block(text.slice(0, end))
        text = text.slice(end + 2)
      }
    }
  }

  #block(block: string): void {
    const data: string[] = []
    for (const line of block.split('\n')) {
      const colon = line.indexOf(':')
      if (colon === 0) continue
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (field === 'data') data.push(value)
      if (field === 'id') this.lastEventId = value
      if (field === 'retry') this.retryMs = Number(value)
    }
    if (data.length === 0) this.comments++
    else this.messages.push({ id: this.lastEventId, data: JSON.parse(data.join('\n')) as Fields })
  }
}
