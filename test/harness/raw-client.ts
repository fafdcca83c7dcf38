import { Packr, Unpackr } from 'msgpackr'

export type Fields = Record<string, unknown>

export interface RawClientOptions {
  /** Default: JSON without a subprotocol. */
  readonly subprotocol?: 'confab.v1.json' | 'confab.v1.msgpack'
  readonly patienceMs?: number
  readonly headers?: Readonly<Record<string, string>>
}

interface Waiter {
  readonly matches: (frame: Fields) => boolean
  readonly resolve: (frame: Fields) => void
}

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false })

/** A socket with all received frames and no knowledge of the protocol: it sends any bytes. */
export class RawClient {
  readonly frames: Fields[] = []
  readonly closed: Promise<{ code: number; reason: string }>
  readonly #socket: WebSocket
  readonly #msgpack: boolean
  readonly #patienceMs: number
  readonly #waiters = new Set<Waiter>()
  #next = 1

  constructor(socket: WebSocket, options: RawClientOptions) {
    this.#socket = socket
    this.#msgpack = options.subprotocol === 'confab.v1.msgpack'
    this.#patienceMs = options.patienceMs ?? 10_000
    socket.binaryType = 'arraybuffer'
    socket.addEventListener('message', ({ data }) => this.#received(data as string | ArrayBuffer))
    this.closed = new Promise(resolve =>
      socket.addEventListener('close', ({ code, reason }) => resolve({ code, reason })),
    )
  }

  static open(url: string, options: RawClientOptions = {}): Promise<RawClient> {
    const { subprotocol, headers } = options
    // Node's constructor accepts headers; the type is the browsers'.
    const init = { protocols: subprotocol === undefined ? [] : [subprotocol], headers } as unknown as string[]
    const socket = new WebSocket(url, init)
    const client = new RawClient(socket, options)
    return new Promise((resolve, reject) => {
      socket.addEventListener('open', () => resolve(client))
      socket.addEventListener('error', () => reject(new Error(`cannot open ${url}`)))
    })
  }

  get subprotocol(): string {
    return this.#socket.protocol
  }

  /** Sends bytes as a binary frame, a string as a text frame, an object in the socket's encoding. */
  send(frame: string | Uint8Array | Fields): void {
    if (typeof frame === 'string') this.#socket.send(frame)
    else if (frame instanceof Uint8Array) this.#socket.send(new Uint8Array(frame))
    else this.#socket.send(this.#msgpack ? new Uint8Array(packr.pack(frame)) : JSON.stringify(frame))
  }

  /** Sends a request with a new id; returns the whole answer. */
  async request(t: string, fields: Fields = {}): Promise<Fields> {
    const id = `r${this.#next++}`
    const answer = this.next(frame => frame.re === id)
    this.send({ id, t, ...JSON.parse(JSON.stringify(fields)) })
    return await answer
  }

  /** As `request`; throws when it is refused. */
  async ok(t: string, fields: Fields = {}): Promise<Fields> {
    const answer = await this.request(t, fields)
    if (answer.ok !== true) throw new Error(`${t} was refused: ${JSON.stringify(answer.error)}`)
    return answer
  }

  /** As `request`; returns the code of the error, or `ok`. */
  async code(t: string, fields: Fields = {}): Promise<string> {
    const answer = await this.request(t, fields)
    return answer.ok === true ? 'ok' : (answer.error as { code: string }).code
  }

  /** Resolves with the first matching frame, past or future. */
  async find(matches: (frame: Fields) => boolean): Promise<Fields> {
    return this.frames.find(matches) ?? (await this.next(matches))
  }

  /** Resolves with the first matching future frame. */
  next(matches: (frame: Fields) => boolean): Promise<Fields> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        reject(
          new Error(
            `no such frame within ${this.#patienceMs} ms; came: ${JSON.stringify(this.frames.slice(-5))}`,
          ),
        )
      }, this.#patienceMs)
      const waiter: Waiter = {
        matches,
        resolve: frame => {
          clearTimeout(timer)
          this.#waiters.delete(waiter)
          resolve(frame)
        },
      }
      this.#waiters.add(waiter)
      void this.closed.then(({ code }) => {
        clearTimeout(timer)
        reject(new Error(`the socket closed with ${code}`))
      })
    })
  }

  /** Resolves with an event of a conversation, past or future. */
  event(c: string, seq: number): Promise<Fields> {
    return this.find(frame => frame.t === 'event' && frame.c === c && frame.seq === seq)
  }

  /** Returns the seqs of a conversation's events, in order of arrival. */
  seqs(c: string): number[] {
    return this.frames.filter(frame => frame.t === 'event' && frame.c === c).map(frame => frame.seq as number)
  }

  /** Resolves when all earlier frames of the server have arrived: the server answers immediate requests in order. */
  async settled(): Promise<void> {
    await this.ok('ping')
  }

  close(code?: number): void {
    this.#socket.close(code)
  }

  #received(data: string | ArrayBuffer): void {
    const frame = (
      typeof data === 'string' ? JSON.parse(data) : unpackr.unpack(new Uint8Array(data))
    ) as Fields
    this.frames.push(frame)
    for (const waiter of this.#waiters) if (waiter.matches(frame)) waiter.resolve(frame)
  }
}
