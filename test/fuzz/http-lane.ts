import fc from 'fast-check'
import { Finding } from './answer-check.ts'
import { type ByteEdit, byteEdits, edited } from './byte-edits.ts'
import { checkHttpAnswer, readAnswer } from './http-answers.ts'
import {
  bytesOf,
  type HttpRequest,
  httpRequests,
  isWellFormed,
  type Sender,
  strangerOf,
} from './http-requests.ts'
import { addressOf, EarlierValues, type Lane, lane, type Target } from './lane.ts'
import { RawConnection } from './raw-connection.ts'
import { uploads } from './uploads.ts'

export interface HttpCase {
  readonly user: number
  readonly client: number
  readonly requests: readonly HttpRequest[]
  /** `pipelined`: all requests before the first answer, with their bytes edited. */
  readonly mode: 'in turn' | 'pipelined'
  readonly edits: readonly ByteEdit[]
  /** Places, from 0 to 1, where a write ends. */
  readonly cuts: readonly number[]
  readonly end: 'close' | 'half-close'
}

/** One request after another, and whole uploads between them. */
const mixed = (requests: fc.Arbitrary<HttpRequest>): fc.Arbitrary<readonly HttpRequest[]> =>
  fc
    .array(
      fc.oneof({ weight: 12, arbitrary: requests.map(one => [one]) }, { weight: 1, arbitrary: uploads }),
      { minLength: 1, maxLength: 8 },
    )
    .map(parts => parts.flat())

const httpCases = (requests: fc.Arbitrary<readonly HttpRequest[]>): fc.Arbitrary<HttpCase> =>
  fc.record({
    user: fc.nat({ max: 7 }),
    client: fc.nat({ max: 0xffff }),
    requests,
    mode: fc.oneof(
      { weight: 3, arbitrary: fc.constant('in turn' as const) },
      { weight: 1, arbitrary: fc.constant('pipelined' as const) },
    ),
    edits: fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 2, arbitrary: byteEdits }),
    cuts: fc.array(
      fc.nat({ max: 1_000 }).map(place => place / 1_000),
      { maxLength: 4 },
    ),
    end: fc.constantFrom('close' as const, 'half-close' as const),
  })

/** Writes bytes in pieces, each in a turn of its own, so that they arrive in several reads. */
const writePieces = async (
  connection: RawConnection,
  bytes: Buffer,
  cuts: readonly number[],
): Promise<void> => {
  const places = [...cuts.map(cut => Math.floor(cut * bytes.length)), bytes.length].sort((a, b) => a - b)
  let from = 0
  for (const to of places) {
    if (to > from) connection.write(bytes.subarray(from, to))
    from = to
    await new Promise(setImmediate)
  }
}

/** Time in which answers to broken requests are read, ms. The server may wait for more bytes instead. */
const brokenMs = 30

const asksToClose = ({ headers }: HttpRequest): boolean => headers.some(([name]) => name === 'Connection')

/** Clients of an HTTP listener. */
export const httpLane = (
  name: string,
  net: number,
  port: number,
  target: Target,
  requests: fc.Arbitrary<readonly HttpRequest[]> = mixed(httpRequests),
): Lane =>
  lane(name, httpCases(requests), async given => {
    const user = strangerOf(given.user)
    const earlier = new EarlierValues()
    const sender: Sender = {
      tokens: {
        own: target.token(user),
        admin: target.adminToken,
        none: undefined,
        junk: 'junk',
        forged: `${target.token(user).slice(0, -8)}AAAAAAAA`,
      },
      filled: fields => earlier.in(fields),
    }
    const connect = () => new RawConnection(port, addressOf(net, given.client))
    let connection = connect()
    try {
      if (given.mode === 'pipelined') {
        // The answer to HEAD has no body, and after edits the reader cannot tell which answer that is.
        const withBodies = given.requests.filter(({ method }) => method !== 'HEAD')
        const all = Buffer.concat(withBodies.map((request, i) => bytesOf(request, `r${i}`, sender)))
        await writePieces(connection, given.edits.length === 0 ? all : edited(all, given.edits), given.cuts)
        if (given.end === 'half-close') connection.halfClose()
        for (;;) {
          const answer = await readAnswer(connection, false, brokenMs)
          if (answer === undefined) break
          checkHttpAnswer(answer, false)
        }
        return
      }
      for (const [i, request] of given.requests.entries()) {
        if (connection.isClosed) connection = connect()
        const isHead = request.method === 'HEAD'
        const sent = { ...request, path: earlier.inPath(request.path) }
        // A server that refuses a request before its body has arrived closes: the reset may lose the answer.
        const mustAnswer = isWellFormed(sent) && (sent.body === undefined || given.cuts.length === 0)
        await writePieces(connection, bytesOf(sent, `r${i}`, sender), given.cuts)
        const answer = await readAnswer(connection, isHead, mustAnswer ? undefined : brokenMs)
        if (answer === undefined) {
          if (mustAnswer) throw new Finding(`no answer to ${sent.method} ${sent.path.slice(0, 200)}`)
        } else {
          const value = checkHttpAnswer(answer, isHead, sent.type)
          if (value !== undefined) earlier.note(value)
        }
        if (answer === undefined || answer.isLast || asksToClose(sent) || !mustAnswer) {
          connection.close()
          connection = connect()
        }
      }
    } finally {
      connection.close()
    }
  })
