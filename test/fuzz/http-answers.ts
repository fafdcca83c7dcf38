import { ErrorRegistry } from '../../src/events/index.ts'
import { checkError, checkFields, Finding } from './answer-check.ts'
import type { Fields } from './arbitrary-requests.ts'
import { answerMs } from './lane.ts'
import type { RawConnection } from './raw-connection.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** Whether the server closes the connection after it. */
  readonly isLast: boolean
}

/** Statuses that the routes and the transport answer with. */
const statuses: ReadonlySet<number> = new Set([
  101, 200, 202, 204, 206, 302, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 416, 417, 422, 426, 429,
  431, 501, 503, 505,
])

const headPattern =
  /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*)\r\n/

/** A chunk of a body: its content, or that it is the last one. */
const lastChunk = Symbol('last chunk')

/** Takes a chunk from what has arrived. Undefined when none has arrived whole. Throws Finding. */
export const takeChunk = (connection: RawConnection): Buffer | typeof lastChunk | undefined => {
  const { unread } = connection
  const line = unread.indexOf('\r\n')
  if (line < 0) return undefined
  const head = unread.toString('latin1', 0, line)
  if (!/^[0-9a-f]{1,8}$/i.test(head)) throw new Finding(`a chunk that starts with: ${head.slice(0, 80)}`)
  const size = Number.parseInt(head, 16)
  const end = line + 2 + size + 2
  if (unread.length < end) return undefined
  connection.unread = unread.subarray(end)
  return size === 0 ? lastChunk : unread.subarray(line + 2, line + 2 + size)
}

/** Reads a body in chunks. Throws Finding when it ends early. */
const readChunks = async (connection: RawConnection): Promise<Buffer> => {
  const chunks: Buffer[] = []
  const isWhole = await connection.until(() => {
    for (;;) {
      const chunk = takeChunk(connection)
      if (chunk === undefined) return false
      if (chunk === lastChunk) return true
      chunks.push(chunk)
    }
  }, answerMs)
  if (!isWhole) throw new Finding('a body in chunks that does not end')
  return Buffer.concat(chunks)
}

/**
 * Reads one answer. Undefined when the server closes the connection, or sends no head in `ms`. An answer that has begun
 * has `answerMs` for the rest. Throws Finding.
 */
export const readAnswer = async (
  connection: RawConnection,
  isHead: boolean,
  ms = answerMs,
): Promise<HttpAnswer | undefined> => {
  const headEnd = () => connection.unread.indexOf('\r\n\r\n')
  if (!(await connection.until(() => headEnd() >= 0, ms))) {
    if (connection.unread.length > 0 && connection.unread.length < 8)
      throw new Finding(`a part of an answer: ${connection.unread.toString('latin1')}`)
    return undefined
  }
  const head = connection.unread.toString('latin1', 0, headEnd() + 4)
  const [, status = '', lines = ''] = headPattern.exec(head) ?? []
  if (status === '100') {
    connection.unread = connection.unread.subarray(head.length)
    return await readAnswer(connection, isHead, ms)
  }
  if (!statuses.has(Number(status))) throw new Finding(`an answer that starts with: ${head.slice(0, 300)}`)
  connection.unread = connection.unread.subarray(head.length)
  const headers = new Map<string, string>()
  for (const line of lines.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const name = line.slice(0, colon).toLowerCase()
    if (headers.has(name) && (name === 'content-length' || name === 'content-type'))
      throw new Finding(`an answer has the header ${name} twice`)
    headers.set(name, line.slice(colon + 1).trim())
  }
  const hasBody = !isHead && !['101', '204', '304'].includes(status)
  const length = headers.get('content-length')
  let body: Buffer = Buffer.alloc(0)
  if (hasBody && length !== undefined) {
    const size = Number(length)
    if (!(await connection.until(() => connection.unread.length >= size, answerMs))) {
      if (ms !== answerMs && connection.isClosed) return undefined
      throw new Finding(`an answer ${status} has ${connection.unread.length} of ${size} bytes`)
    }
    body = Buffer.from(connection.unread.subarray(0, size))
    connection.unread = connection.unread.subarray(size)
  } else if (hasBody && headers.get('transfer-encoding') === 'chunked') {
    try {
      body = await readChunks(connection)
    } catch (error) {
      // A server that closes before it has read everything resets the connection, and the rest of its answer is lost.
      if (ms !== answerMs && connection.isClosed) return undefined
      throw error
    }
  } else if (hasBody) {
    await connection.until(() => false, 100)
    body = connection.unread
    connection.unread = Buffer.alloc(0)
  }
  return {
    status: Number(status),
    headers,
    body,
    isLast:
      headers.get('connection')?.toLowerCase() === 'close' ||
      (hasBody && length === undefined && !headers.has('transfer-encoding')),
  }
}

/** Returns the JSON object of an answer; undefined for other content. Throws Finding unless it may be answered. */
export const checkHttpAnswer = (
  { status, headers, body }: HttpAnswer,
  isHead: boolean,
  type?: string,
): Fields | undefined => {
  if (isHead || !headers.get('content-type')?.startsWith('application/json') || status === 304) {
    if (status === 500) throw new Finding('500 without an error')
    return undefined
  }
  let value: Fields
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as Fields
  } catch {
    throw new Finding(`an answer ${status} is no JSON: ${body.toString('latin1').slice(0, 300)}`)
  }
  if (status < 400) {
    if (type !== undefined) checkFields(value, type)
  } else if (value.error !== undefined) {
    const code = checkError(value.error, type)
    if (ErrorRegistry[code].status !== status) throw new Finding(`${code} has the status ${status}`)
  } else if (!('ok' in value)) throw new Finding(`an answer ${status} without an error: ${body}`)
  return value
}
