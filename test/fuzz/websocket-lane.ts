import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { checkAnswer, checkPush, Finding } from './answer-check.ts'
import { changed, type Fields, type FuzzedRequest, requests } from './arbitrary-requests.ts'
import { type ByteEdit, byteEdits, edited } from './byte-edits.ts'
import { addressOf, answerMs, EarlierValues, type Lane, lane, type Target } from './lane.ts'
import { type Encoding, encoded, opcodes, RawWebSocket } from './raw-websocket.ts'
import { seqs, strangers, stringsByField } from './vocabulary.ts'

type Step =
  | { readonly kind: 'request'; readonly request: FuzzedRequest }
  /** A request in several frames and writes, with other frames in between. */
  | {
      readonly kind: 'pieces'
      readonly request: FuzzedRequest
      readonly pieces: number
      readonly hasPing: boolean
    }
  /** A frame whose bytes are edited after encoding. */
  | {
      readonly kind: 'edited'
      readonly request: FuzzedRequest
      readonly edits: readonly ByteEdit[]
      readonly opcode: number
    }
  /** Bytes of the transport that break RFC 6455. The server may only close. */
  | {
      readonly kind: 'broken'
      readonly bytes: readonly number[]
      readonly head: { reserved: number; opcode: number; isMasked: boolean; length: number }
    }
  | {
      readonly kind: 'reconnect'
      readonly isAbrupt: boolean
      readonly resume: Readonly<Record<string, number>>
    }
  | { readonly kind: 'pause'; readonly ms: number }

export interface WebSocketCase {
  readonly user: number
  readonly client: number
  readonly encoding: Encoding
  /** `early`: the first requests are sent before the answer to `hello`. `none`: no hello at all. */
  readonly hello: 'first' | 'early' | 'none'
  readonly device: string | undefined
  readonly steps: readonly Step[]
  /** How the connection ends: with a whole close, inside a frame, or without a word. */
  readonly end: 'close' | 'inside' | 'abrupt'
}

const cursors = fc.dictionary(stringsByField.c!, seqs, { maxKeys: 5, noNullPrototype: true })

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ kind: fc.constant('request' as const), request: requests }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pieces' as const),
      request: requests,
      pieces: fc.integer({ min: 2, max: 6 }),
      hasPing: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('edited' as const),
      request: requests,
      edits: byteEdits,
      opcode: fc.constantFrom(opcodes.text, opcodes.binary),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('broken' as const),
      bytes: fc.array(fc.nat({ max: 255 }), { maxLength: 40 }),
      head: fc.record({
        reserved: fc.nat({ max: 7 }),
        opcode: fc.nat({ max: 15 }),
        isMasked: fc.boolean(),
        length: fc.constantFrom(0, 5, 125, 126, 300, 65_536, 2 ** 40),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('reconnect' as const),
      isAbrupt: fc.boolean(),
      resume: cursors,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pause' as const), ms: fc.nat({ max: 30 }) }) },
)

const cases: fc.Arbitrary<WebSocketCase> = fc.record({
  user: fc.nat({ max: strangers.length - 1 }),
  client: fc.nat({ max: 0xffff }),
  encoding: fc.constantFrom<Encoding[]>('json', 'msgpack'),
  hello: fc.oneof(
    { weight: 8, arbitrary: fc.constant('first' as const) },
    { weight: 3, arbitrary: fc.constant('early' as const) },
    { weight: 1, arbitrary: fc.constant('none' as const) },
  ),
  device: fc.option(stringsByField.device!, { nil: undefined, freq: 3 }),
  steps: fc.array(steps, { minLength: 1, maxLength: 24 }),
  end: fc.constantFrom('close' as const, 'inside' as const, 'abrupt' as const),
})

/** Close codes of the protocol, of RFC 6455 for a client's faults, and of a connection that is dropped. */
const expectedCodes: ReadonlySet<number> = new Set([
  1000, 1001, 1002, 1005, 1006, 1007, 1008, 1009, 4001, 4002, 4003, 4004, 4008, 4029,
])

/** One connection of a case, and what it still expects. */
class Client {
  readonly socket: RawWebSocket
  /** Requests whose id the server can read, by id. Undefined: their type cannot be known. */
  readonly #types = new Map<string, string | undefined>()
  readonly #earlier: EarlierValues
  /** Frames that the server answers, each exactly once, and their answers. */
  #asked = 0
  #answered = 0
  #checked = 0
  /** The client has broken the transport's rules: the server may close at any time. */
  #isBroken = false

  constructor(socket: RawWebSocket, earlier: EarlierValues) {
    this.socket = socket
    this.#earlier = earlier
  }

  send(bytes: Buffer, id?: string, type?: string): void {
    if (id !== undefined) this.#types.set(id, type)
    this.#asked++
    this.socket.send(bytes)
  }

  sendPieces(bytes: Buffer, pieces: number, hasPing: boolean, id: string, type: string | undefined): void {
    this.#types.set(id, type)
    this.#asked++
    const size = Math.ceil(bytes.length / pieces)
    for (let i = 0; i < pieces; i++) {
      const isLast = i === pieces - 1
      const first = this.socket.encoding === 'msgpack' ? opcodes.binary : opcodes.text
      this.socket.send(bytes.subarray(i * size, isLast ? undefined : (i + 1) * size), {
        opcode: i === 0 ? first : opcodes.continuation,
        isLast,
      })
      if (hasPing && !isLast) this.socket.send(Buffer.from('ping'), { opcode: opcodes.ping })
    }
  }

  /** Sends a frame whose payload may be anything: it gets one answer, unless the transport refuses it. */
  sendEdited(bytes: Buffer, opcode: number): void {
    this.#asked++
    // The transport closes on a text frame that is not UTF-8.
    this.socket.send(bytes, { opcode })
  }

  sendBroken(
    bytes: Buffer,
    head: { opcode: number; isMasked: boolean; length: number; reserved: number },
  ): void {
    this.#isBroken = true
    this.socket.send(bytes, head)
  }

  /** Waits until every frame has its answer or the server has closed. Throws Finding. */
  async settled(): Promise<void> {
    const isSettled = await this.socket.until(
      () => {
        this.#check()
        return this.#answered >= this.#asked
      },
      this.#isBroken ? 50 : answerMs,
    )
    this.#check()
    const { connection, closeCode } = this.socket
    if (this.#answered > this.#asked)
      throw new Finding(`${this.#asked} frames have ${this.#answered} answers`)
    if (closeCode !== undefined && !expectedCodes.has(closeCode))
      throw new Finding(`the server closed with ${closeCode}`)
    if (isSettled || this.#isBroken || connection.isClosed || closeCode !== undefined) return
    throw new Finding(
      `${this.#asked - this.#answered} of ${this.#asked} frames have no answer; without: ${[...this.#types.values()].join(', ')}`,
    )
  }

  #check(): void {
    for (; this.#checked < this.socket.frames.length; this.#checked++) {
      const frame = this.socket.frames[this.#checked]!
      if (!('re' in frame)) {
        checkPush(frame)
        continue
      }
      if (this.#isBroken) this.#asked = Math.max(this.#asked, this.#answered + 1)
      this.#answered++
      const { re } = frame
      const isKnown = typeof re === 'string' && this.#types.has(re)
      checkAnswer(frame, isKnown ? this.#types.get(re as string) : undefined)
      if (isKnown) this.#types.delete(re as string)
      this.#earlier.note(frame)
    }
  }
}

/** The clients of `/v1/ws`. */
export const webSocketLane = (name: string, net: number, target: Target): Lane =>
  lane(name, cases, async given => {
    const user = strangers[given.user]!
    const earlier = new EarlierValues()
    let ids = 0

    const open = async (resume?: Readonly<Record<string, number>>): Promise<Client | undefined> => {
      const socket = new RawWebSocket(target.port, addressOf(net, given.client), given.encoding)
      if (!(await socket.opened(answerMs))) {
        socket.close()
        return undefined
      }
      const client = new Client(socket, earlier)
      if (given.hello === 'none') return client
      const id = `hello-${ids++}`
      const hello = { id, t: 'hello', token: target.token(user), device: given.device, resume }
      client.send(encoded(JSON.parse(JSON.stringify(hello)) as Fields, given.encoding), id, 'hello')
      if (given.hello === 'first') await client.settled()
      return client
    }

    let client = await open()
    try {
      for (const step of given.steps) {
        if (client === undefined || client.socket.connection.isClosed) return
        switch (step.kind) {
          case 'pause':
            await sleep(step.ms)
            break
          case 'reconnect':
            if (!step.isAbrupt) await client.settled()
            client.socket.close()
            client = await open(step.resume)
            break
          case 'broken':
            client.sendBroken(Buffer.from(step.bytes), step.head)
            break
          default: {
            // An edited id must not become that of another request.
            const id = step.kind === 'edited' ? `edited-${ids++}-edited` : `r${ids++}`
            const request = earlier.in(changed(step.request, id))
            const bytes = encoded(request, given.encoding)
            const type = typeof request.t === 'string' ? request.t : undefined
            if (step.kind === 'request') client.send(bytes, id, type)
            else if (step.kind === 'pieces') client.sendPieces(bytes, step.pieces, step.hasPing, id, type)
            else client.sendEdited(edited(bytes, step.edits), step.opcode)
          }
        }
      }
      if (client === undefined) return
      await client.settled()
      if (given.end === 'close') client.socket.send(Buffer.from([0x03, 0xe8]), { opcode: opcodes.close })
      if (given.end === 'inside') client.socket.send(Buffer.from('{'), { opcode: opcodes.text, length: 500 })
    } finally {
      client?.socket.close()
    }
  })
