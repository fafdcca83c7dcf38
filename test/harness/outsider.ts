import { setTimeout as sleep } from 'node:timers/promises'

/** An event as received. Written from docs/protocol.md alone: nothing of src is used here. */
export interface SeenEvent {
  c: string
  seq: number
  type: string
  m?: string
  from: string
  text?: string
  [field: string]: unknown
}

type Frame = Record<string, unknown>

/** The server refused a request permanently. */
export class Refused extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

interface Waiting {
  resolve: (answer: Frame) => void
  reject: (error: Error) => void
}

/**
 * An independent client: it follows the protocol's rules of order, reconnects and resumes for ever, repeats commands
 * until they are answered, and records everything it applied and every breach of the protocol.
 */
export class Outsider {
  /** Applied events by conversation, from the first one received. */
  readonly seen = new Map<string, SeenEvent[]>()
  /** Breaches: a wrong answer, a duplicate within one connection, an event that differs from the applied one. */
  readonly breaches: string[] = []
  refetches = 0
  reconnects = 0
  readonly user: string
  readonly #urls: readonly string[]
  readonly #token: string
  readonly #held = new Map<string, Map<number, SeenEvent>>()
  readonly #waiting = new Map<string, Waiting>()
  /** Events since the socket opened; requested ones may arrive again. */
  readonly #delivered = new Set<string>()
  /** Conversations with a gap that will be requested. */
  readonly #gaps = new Set<string>()
  #next = 1
  #socket: WebSocket | undefined
  #open = Promise.withResolvers<void>()
  #stopped = false
  readonly #running: Promise<void>

  /** `urls`: `http://…` of one or more servers; each reconnect takes the next one. */
  constructor(user: string, urls: readonly string[], token: string) {
    this.user = user
    this.#urls = urls
    this.#token = token
    this.#running = this.#run()
  }

  /** One attempt: rejects when the socket closes before the answer. */
  async request(t: string, fields: Frame): Promise<Frame> {
    await this.#open.promise
    const id = String(this.#next++)
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#socket?.send(JSON.stringify({ id, t, ...fields }))
    })
  }

  /**
   * Repeats a command until it is answered; it must carry `m` or `key`. Throws Refused when the server refuses it.
   */
  async command(t: string, fields: Frame): Promise<Frame> {
    while (!this.#stopped) {
      const answer = await this.request(t, fields).catch(() => undefined)
      if (answer === undefined) {
        await sleep(20)
        continue
      }
      if (answer.ok === true) return answer
      const error = answer.error as { code: string; message: string; retryable: boolean }
      if (!error.retryable) throw new Refused(error.code, error.message)
      await sleep(50)
    }
    throw new Error('stopped')
  }

  /** Expects a conversation from its first event on, also when it is created while this client is disconnected. */
  expect(c: string): void {
    if (!this.seen.has(c)) this.seen.set(c, [])
  }

  /** Returns the last applied seq. */
  head(c: string): number {
    return this.seen.get(c)?.at(-1)?.seq ?? 0
  }

  /** Cuts the socket, like a network failure. */
  cut(): void {
    this.#socket?.close()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#socket?.close()
    this.#open.resolve()
    await this.#running
  }

  async #run(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      await this.#connection(this.#urls[turn % this.#urls.length]!).catch(() => {})
      for (const waiting of this.#waiting.values()) waiting.reject(new Error('the socket is gone'))
      this.#waiting.clear()
      this.reconnects++
      if (!this.#stopped) await sleep(30 + Math.random() * 70)
    }
  }

  async #connection(url: string): Promise<void> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, 'confab.v1.json')
    const closed = new Promise<void>(resolve => socket.addEventListener('close', () => resolve()))
    const opened = new Promise<void>(resolve => socket.addEventListener('open', () => resolve()))
    this.#delivered.clear()
    socket.addEventListener('error', () => {})
    socket.addEventListener('message', message => this.#frame(JSON.parse(message.data as string)))
    await Promise.race([opened, closed])
    if (socket.readyState !== WebSocket.OPEN) return
    this.#socket = socket
    this.#held.clear()
    const cursors = [...this.seen.keys()].map(c => [c, this.head(c)] as const)
    const hello = new Promise<Frame>((resolve, reject) => this.#waiting.set('hello', { resolve, reject }))
    hello.catch(() => {})
    socket.send(
      JSON.stringify({ id: 'hello', t: 'hello', token: this.#token, resume: Object.fromEntries(cursors) }),
    )
    const answer = await Promise.race([hello, closed.then(() => undefined)])
    if (answer?.ok !== true) {
      socket.close()
      return
    }
    this.#open.resolve()
    await closed
    if (!this.#stopped) this.#open = Promise.withResolvers<void>()
  }

  #frame(frame: Frame): void {
    if (typeof frame.re === 'string') {
      const waiting = this.#waiting.get(frame.re)
      if (waiting === undefined) this.breaches.push(`an answer to nothing: ${JSON.stringify(frame)}`)
      this.#waiting.delete(frame.re)
      waiting?.resolve(frame)
    } else if (frame.t === 'event') {
      const event = frame as unknown as SeenEvent
      const place = `${event.c} ${event.seq}`
      if (this.#delivered.has(place)) this.breaches.push(`${place} came twice on one connection`)
      this.#delivered.add(place)
      this.#apply(event)
    } else if (frame.t === 'refetch') {
      this.refetches++
      if (frame.reason !== 'not_member') void this.#refetch(frame.c as string).catch(() => {})
    }
  }

  #apply(event: SeenEvent): void {
    const seen = this.seen.get(event.c)
    if (seen === undefined) {
      this.seen.set(event.c, [event])
      return
    }
    const head = seen.at(-1)?.seq ?? 0
    if (event.seq <= head) {
      const known = seen[event.seq - (seen[0]?.seq ?? 1)]
      if (known !== undefined && !isSameEvent(known, event))
        this.breaches.push(`${event.c} ${event.seq} was repeated, and differs`)
      return
    }
    const held = this.#held.get(event.c) ?? new Map<number, SeenEvent>()
    this.#held.set(event.c, held)
    held.set(event.seq, event)
    for (let next = held.get(head + 1); next !== undefined; next = held.get(next.seq + 1)) {
      held.delete(next.seq)
      seen.push(next)
    }
    if (held.size > 0) this.#closeGap(event.c)
  }

  async #refetch(c: string): Promise<void> {
    for (let more = true; more; ) {
      const page = await this.request('history', { c, after: this.head(c), limit: 200 })
      for (const event of (page.events ?? []) as SeenEvent[]) this.#apply(event)
      more = page.more === true
    }
  }

  /** Requests a gap once: a second request may produce duplicates. */
  #closeGap(c: string): void {
    if (this.#gaps.has(c)) return
    this.#gaps.add(c)
    setTimeout(() => {
      this.#gaps.delete(c)
      if ((this.#held.get(c)?.size ?? 0) === 0) return
      this.#delivered.clear()
      this.request('sync', { cursors: { [c]: this.head(c) } }).catch(() => {})
    }, 1000).unref()
  }
}

/** Whether a repeated event is the same. A message may have been edited or deleted since. */
const isSameEvent = (known: SeenEvent, event: SeenEvent): boolean => {
  if (JSON.stringify(known) === JSON.stringify(event)) return true
  const isContent = event.type === 'message.posted' || event.type === 'message.edited'
  const fields = ['type', 'm', 'n', 'from', 'at'] as const
  return isContent && fields.every(name => known[name] === event[name])
}
