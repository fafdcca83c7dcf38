import fc from 'fast-check'
import { checkPush, Finding } from './answer-check.ts'
import { type ByteEdit, byteEdits, edited } from './byte-edits.ts'
import { checkHttpAnswer, readAnswer, takeChunk } from './http-answers.ts'
import { addressOf, answerMs, type Lane, lane, type Target } from './lane.ts'
import { RawConnection } from './raw-connection.ts'
import { strangers } from './vocabulary.ts'

export interface StreamCase {
  readonly user: number
  readonly client: number
  /** `Last-Event-ID`: that of the previous stream with its bytes edited, or any text. */
  readonly lastId: 'none' | 'previous' | 'edited' | { readonly text: string }
  readonly edits: readonly ByteEdit[]
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** Streams that the case opens, one after another. */
  readonly streams: number
  readonly readMs: number
  readonly end: 'close' | 'half-close' | 'second request'
}

const cases: fc.Arbitrary<StreamCase> = fc.record({
  user: fc.nat({ max: strangers.length - 1 }),
  client: fc.nat({ max: 0xffff }),
  lastId: fc.oneof(
    fc.constantFrom('none' as const, 'previous' as const, 'edited' as const),
    fc.record({ text: fc.oneof(fc.string({ maxLength: 60 }), fc.constant('A'.repeat(3_000))) }),
  ),
  edits: byteEdits,
  method: fc.oneof(
    { weight: 8, arbitrary: fc.constant('GET' as const) },
    { weight: 1, arbitrary: fc.constantFrom('HEAD' as const, 'POST' as const) },
  ),
  streams: fc.integer({ min: 1, max: 4 }),
  readMs: fc.nat({ max: 60 }),
  end: fc.constantFrom('close' as const, 'half-close' as const, 'second request' as const),
})

/** Takes the chunks that have arrived whole from a connection; returns their content. */
const takeChunks = (connection: RawConnection): Buffer => {
  const contents: Buffer[] = []
  for (let chunk = takeChunk(connection); chunk instanceof Buffer; chunk = takeChunk(connection))
    contents.push(chunk)
  return Buffer.concat(contents)
}

/** Reads what a stream sends in a time. Returns its last cursor. Throws Finding unless every push has its schema. */
const readPushes = async (connection: RawConnection, ms: number): Promise<string | undefined> => {
  let lastId: string | undefined
  let text = Buffer.alloc(0)
  const read = (): boolean => {
    text = Buffer.concat([text, takeChunks(connection)])
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.toString('utf8', 0, end).split('\n')
      text = text.subarray(end + 2)
      for (const line of lines) {
        const [, name, value = ''] = /^(data|id|retry|): ?(.*)$/.exec(line) ?? []
        if (name === 'data') checkPush(JSON.parse(value) as Record<string, unknown>, true)
        else if (name === 'id') lastId = value
        else if (name === undefined && !line.startsWith(':'))
          throw new Finding(`a line of an event stream: ${line.slice(0, 200)}`)
      }
    }
    return false
  }
  await connection.until(read, ms)
  return lastId
}

/** The clients of `/v1/stream`. */
export const streamLane = (name: string, net: number, target: Target): Lane =>
  lane(name, cases, async given => {
    const user = strangers[given.user]!
    let previous: string | undefined
    for (let i = 0; i < given.streams; i++) {
      const lastId =
        typeof given.lastId === 'object'
          ? given.lastId.text
          : given.lastId === 'none'
            ? undefined
            : given.lastId === 'previous'
              ? previous
              : edited(Buffer.from(previous ?? 'none'), given.edits).toString('latin1')
      // Header values may not have these characters.
      const header = lastId?.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 3_000)
      const connection = new RawConnection(target.port, addressOf(net, given.client))
      try {
        connection.write(
          [
            `${given.method} /v1/stream HTTP/1.1`,
            'Host: localhost',
            `Authorization: Bearer ${target.token(user)}`,
            ...(header === undefined ? [] : [`Last-Event-ID: ${header}`]),
            '',
            '',
          ].join('\r\n'),
        )
        if (given.method !== 'GET') {
          const answer = await readAnswer(connection, given.method === 'HEAD')
          if (answer === undefined) throw new Finding(`no answer to ${given.method} /v1/stream`)
          checkHttpAnswer(answer, given.method === 'HEAD')
          continue
        }
        if (!(await connection.until(() => connection.unread.indexOf('\r\n\r\n') >= 0, answerMs)))
          throw new Finding('no answer to GET /v1/stream')
        if (!connection.unread.toString('latin1', 0, 12).startsWith('HTTP/1.1 200')) {
          const answer = await readAnswer(connection, false)
          if (answer !== undefined) checkHttpAnswer(answer, false)
          continue
        }
        connection.unread = connection.unread.subarray(connection.unread.indexOf('\r\n\r\n') + 4)
        const cursor = await readPushes(connection, given.readMs)
        previous = cursor ?? previous
        if (given.end === 'half-close') connection.halfClose()
        if (given.end === 'second request') {
          connection.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
          await connection.until(() => false, 5)
        }
      } finally {
        connection.close()
      }
    }
  })
