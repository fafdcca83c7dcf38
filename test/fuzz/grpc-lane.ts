import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import fc from 'fast-check'
import { checkError, checkSecrecy, Finding } from './answer-check.ts'
import { changed, type Fields, type FuzzedRequest, requests } from './arbitrary-requests.ts'
import { type ByteEdit, byteEdits, edited } from './byte-edits.ts'
import { addressOf, answerMs, EarlierValues, type Lane, lane, type Target } from './lane.ts'
import { RawConnection } from './raw-connection.ts'
import { strangers } from './vocabulary.ts'

/** Built from the .proto alone, without confab's code. */
const proto = fileURLToPath(new URL('../../src/edge/transports/grpc/confab.proto', import.meta.url))
const { 'confab.v1.Confab': loaded } = loadSync(proto, { longs: Number, oneofs: true, arrays: true })
const { Session } = loaded as ServiceDefinition

type Step =
  | { readonly kind: 'message'; readonly request: FuzzedRequest; readonly cuts: readonly number[] }
  | { readonly kind: 'edited'; readonly request: FuzzedRequest; readonly edits: readonly ByteEdit[] }
  /** A message whose prefix is wrong: its flag, or its length. The call ends. */
  | { readonly kind: 'broken'; readonly flag: number; readonly length: number }

interface Call {
  readonly path: string
  readonly token: 'metadata' | 'hello' | 'none' | 'junk'
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly steps: readonly Step[]
  readonly end: 'end' | 'cancel' | 'destroy'
}

export interface GrpcCase {
  readonly user: number
  readonly client: number
  readonly calls: readonly Call[]
  /** Instead of calls: bytes of HTTP/2, edited. */
  readonly bytes: readonly ByteEdit[] | undefined
}

const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('message' as const),
      request: requests,
      cuts: fc.array(fc.nat({ max: 100 }), { maxLength: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('edited' as const), request: requests, edits: byteEdits }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('broken' as const),
      flag: fc.constantFrom(0, 1, 255),
      length: fc.constantFrom(0, 1, 100, 300_000, 0xffffffff),
    }),
  },
)

const call: fc.Arbitrary<Call> = fc.record({
  path: fc.oneof(
    { weight: 10, arbitrary: fc.constant('/confab.v1.Confab/Session') },
    { weight: 1, arbitrary: fc.constantFrom('/confab.v1.Confab/X', '/', '/grpc.health.v1.Health/Check') },
  ),
  token: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom('metadata' as const, 'hello' as const) },
    { weight: 1, arbitrary: fc.constantFrom('none' as const, 'junk' as const) },
  ),
  headers: fc.array(
    fc.constantFrom<(readonly [string, string])[]>(
      ['grpc-encoding', 'gzip'],
      ['grpc-timeout', '1n'],
      ['grpc-timeout', '99999999H'],
      ['content-type', 'application/json'],
      ['x-forwarded-for', '203.0.113.1'],
      ['x-bin', '%%%'],
      ['x', 'y'.repeat(6_000)],
    ),
    { maxLength: 1 },
  ),
  steps: fc.array(steps, { maxLength: 10 }),
  end: fc.constantFrom('end' as const, 'cancel' as const, 'destroy' as const),
})

const cases: fc.Arbitrary<GrpcCase> = fc.record({
  user: fc.nat({ max: strangers.length - 1 }),
  client: fc.nat({ max: 0xffff }),
  calls: fc.array(call, { minLength: 1, maxLength: 3 }),
  bytes: fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: byteEdits }),
})

const entries = (cursors: unknown): unknown =>
  typeof cursors === 'object' && cursors !== null
    ? Object.entries(cursors).map(([c, seq]) => ({ c, seq: Number(seq) }))
    : cursors

/** Returns a request as its message. A value that its field cannot hold makes the message empty. */
export const messageOf = (request: Fields): Buffer => {
  const { id, t, ...fields } = request
  for (const name of ['resume', 'seen', 'cursors'])
    if (typeof fields[name] === 'object') fields[name] = entries(fields[name])
  if (t === 'presence' && Array.isArray(fields.users)) fields.users = { ids: fields.users }
  if (t !== 'call' && fields.data !== undefined) fields.data = JSON.stringify(fields.data)
  try {
    return Session!.requestSerialize({ id, [String(t)]: fields })
  } catch {
    return Session!.requestSerialize({})
  }
}

const prefixed = (message: Uint8Array, flag = 0, length = message.length): Buffer => {
  const prefix = Buffer.alloc(5)
  prefix[0] = flag
  prefix.writeUInt32BE(length, 1)
  return Buffer.concat([prefix, message])
}

/** The start of a connection of HTTP/2: the preface, settings, a ping, and frames of a request. */
const opening = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]),
  Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
  Buffer.from([0, 0, 3, 1, 4, 0, 0, 0, 1, 0x83, 0x86, 0x84]),
  Buffer.from([0, 0, 5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
  Buffer.from([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]),
])

/** One call of a case. */
class GrpcCall {
  readonly stream: ClientHttp2Stream
  readonly frames: Fields[] = []
  readonly #earlier: EarlierValues
  #received = Buffer.alloc(0)
  #status: string | undefined
  #isClosed = false
  #answers = 0
  #failure: unknown
  #wake: (() => void) | undefined
  asked = 0
  isBroken = false

  constructor(stream: ClientHttp2Stream, earlier: EarlierValues) {
    this.stream = stream
    this.#earlier = earlier
    stream.on('error', () => {})
    stream.on('response', headers => this.#ended(headers['grpc-status']))
    stream.on('trailers', headers => this.#ended(headers['grpc-status']))
    stream.on('data', (chunk: Buffer) => this.#read(chunk))
    stream.on('close', () => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  write(bytes: Uint8Array): void {
    if (!this.#isClosed && this.stream.writable) this.stream.write(bytes)
  }

  /** Waits until every message has its answer or the call has ended. Throws Finding. */
  async settled(): Promise<void> {
    const endAt = performance.now() + (this.isBroken ? 50 : answerMs)
    const timer = setInterval(() => this.#wake?.(), 50)
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure
        if (this.#answers >= this.asked || this.#isClosed || this.#status !== undefined) break
        if (performance.now() > endAt) {
          if (this.isBroken) break
          throw new Finding(`${this.asked} messages have ${this.#answers} answers`)
        }
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
      }
    } finally {
      clearInterval(timer)
    }
    if (!this.isBroken && this.#answers > this.asked)
      throw new Finding(`${this.asked} messages have ${this.#answers} answers`)
  }

  #ended(status: unknown): void {
    if (status === undefined) return
    this.#status = String(status)
    this.#wake?.()
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    try {
      while (this.#received.length >= 5) {
        const end = 5 + this.#received.readUInt32BE(1)
        if (this.#received.length < end) break
        this.#frame(this.#received.subarray(5, end))
        this.#received = this.#received.subarray(end)
      }
    } catch (finding) {
      this.#failure ??= finding
    }
    this.#wake?.()
  }

  #frame(bytes: Buffer): void {
    checkSecrecy(bytes.toString('latin1'))
    const { answer, frame: kind } = Session!.responseDeserialize(bytes) as { answer?: Fields; frame?: string }
    if (kind === undefined) throw new Finding('a frame of a kind that confab.proto lacks')
    if (answer === undefined) return
    this.#answers++
    if (answer.error !== undefined && answer.error !== null)
      checkError({
        retryable: false,
        ...Object.fromEntries(Object.entries(answer.error).filter(([name]) => !name.startsWith('_'))),
      })
    else this.#earlier.note(answer)
  }
}

const runCall = async (
  session: ClientHttp2Session,
  given: Call,
  user: string,
  target: Target,
  earlier: EarlierValues,
): Promise<void> => {
  const token = given.token === 'junk' ? 'junk' : target.token(user)
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: 'POST',
    [constants.HTTP2_HEADER_PATH]: given.path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(given.token === 'metadata' || given.token === 'junk' ? { authorization: `Bearer ${token}` } : {}),
    ...Object.fromEntries(given.headers),
  })
  const call = new GrpcCall(stream, earlier)
  // A client with a deadline ends the call itself. The server may answer no more.
  call.isBroken = given.headers.some(([name]) => name === 'grpc-timeout')
  let ids = 0
  const send = (message: Buffer, cuts: readonly number[] = []): void => {
    call.asked++
    const bytes = prefixed(message)
    let from = 0
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      const to = Math.min(bytes.length, Math.max(from, cut))
      call.write(bytes.subarray(from, to))
      from = to
    }
    call.write(bytes.subarray(from))
  }
  if (given.token !== 'none')
    send(messageOf({ id: 'hello', t: 'hello', ...(given.token === 'hello' ? { token } : {}) }))
  for (const step of given.steps) {
    if (step.kind === 'broken') {
      call.isBroken = true
      call.write(prefixed(Buffer.from('x'), step.flag, step.length))
      break
    }
    const message = messageOf(earlier.in(changed(step.request, `r${ids++}`)))
    if (step.kind === 'message') send(message, step.cuts)
    else send(edited(message, step.edits))
    // Later requests take values of earlier answers.
    if (ids % 4 === 0) await call.settled()
  }
  await call.settled()
  if (given.end === 'end') stream.end()
  else stream.close(given.end === 'cancel' ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_PROTOCOL_ERROR)
}

/** The clients of the gRPC service. */
export const grpcLane = (name: string, net: number, target: Target): Lane =>
  lane(name, cases, async given => {
    const address = addressOf(net, given.client)
    if (given.bytes !== undefined) {
      const connection = new RawConnection(target.grpcPort, address)
      try {
        connection.write(edited(opening, given.bytes))
        await connection.until(() => false, 20)
      } finally {
        connection.close()
      }
      return
    }
    const socket = connect({ port: target.grpcPort, host: '127.0.0.1', localAddress: address })
    const session = connectHttp2(`http://127.0.0.1:${target.grpcPort}`, { createConnection: () => socket })
    session.on('error', () => {})
    const earlier = new EarlierValues()
    try {
      for (const call of given.calls) {
        if (session.closed || session.destroyed) return
        await runCall(session, call, strangers[given.user]!, target, earlier)
      }
    } finally {
      session.destroy()
      socket.destroy()
    }
  })
