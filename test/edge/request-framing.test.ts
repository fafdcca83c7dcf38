import { connect as connectTcp } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { framingProblem } from '../../src/edge/transports/http/request-framing.ts'
import { startConfab } from '../harness/confab.ts'

const confab = await startConfab(t, { edge: { web: true }, limits: { malformedRequests: 0 } })
const token = await confab.token('alice')
const { port } = confab.edge

/** Sends bytes on one connection. Resolves with everything that the server sent when the server has closed it. */
const exchange = (...parts: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    let received = ''
    const socket = connectTcp({ port, host: '127.0.0.1' }, async () => {
      for (const part of parts) {
        socket.write(Buffer.from(part, 'latin1'))
        await new Promise(setImmediate)
      }
    })
    socket.setNoDelay(true)
    socket.on('data', data => {
      received += data.toString('latin1')
    })
    socket.on('error', error => {
      // The server closes the connection while the client still sends.
      if (
        (error as NodeJS.ErrnoException).code !== 'ECONNRESET' &&
        (error as NodeJS.ErrnoException).code !== 'EPIPE'
      )
        reject(error)
    })
    socket.on('close', () => resolve(received))
  })

const statusesOf = (received: string): string[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status!)

let hidden = 0
/** A request that creates a conversation, and closes the connection. Returns its bytes and its conversation. */
const hiddenRequest = (): { bytes: string; c: string } => {
  const c = `hidden-${hidden++}`
  const body = JSON.stringify({ id: '1', t: 'create', c, kind: 'group', members: [] })
  const bytes = `POST /v1/commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  return { bytes, c }
}

const hasRun = async (c: string): Promise<boolean> =>
  (await confab.log.last({ family: 'conv', id: c })) !== undefined

const auth = `Authorization: Bearer ${token}\r\n`
const socketHeaders =
  'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
/** One request of each kind of route: its first line, and its headers besides the framing. */
const routes: readonly (readonly [line: string, headers: string])[] = [
  ['GET /healthz', ''],
  ['HEAD /healthz', ''],
  ['GET /', ''],
  ['GET /v1/inbox', auth],
  ['POST /v1/commands', auth],
  ['GET /v1/stream', auth],
  ['GET /v1/ws', socketHeaders],
  ['PUT /v1/media/transfer?x=y', ''],
  ['POST /v1/media/abc/complete', auth],
  ['GET /v1/conversations/tea/media/abc', auth],
  ['OPTIONS /v1/commands', ''],
  ['GET /no/such/path', ''],
  ['DELETE /v1/inbox', ''],
  ['PATCH /no/such/path', ''],
  ['TRACE /', ''],
  ['QUERY /v1/inbox', ''],
]

/** Framing headers whose end of the body is ambiguous, or that no client writes. */
const ambiguous: readonly (readonly [name: string, headers: string])[] = [
  ['two different lengths', 'Content-Length: 0\r\nContent-Length: 44\r\n'],
  ['two different lengths, the longer one first', 'Content-Length: 44\r\nContent-Length: 0\r\n'],
  ['two equal lengths', 'Content-Length: 0\r\nContent-Length: 0\r\n'],
  ['two lengths in different case', 'content-length: 0\r\nCONTENT-LENGTH: 44\r\n'],
  ['an empty length before another one', 'Content-Length:\r\nContent-Length: 44\r\n'],
  ['a list of lengths', 'Content-Length: 0, 44\r\n'],
  ['a list of equal lengths', 'Content-Length: 0, 0\r\n'],
  ['an empty length', 'Content-Length: \r\n'],
  ['a signed length', 'Content-Length: +0\r\n'],
  ['a negative length', 'Content-Length: -1\r\n'],
  ['a hexadecimal length', 'Content-Length: 0x0\r\n'],
  ['a length with an exponent', 'Content-Length: 0e1\r\n'],
  ['a decimal length', 'Content-Length: 0.0\r\n'],
  ['a length with a blank inside', 'Content-Length: 0 0\r\n'],
  ['a quoted length', 'Content-Length: "0"\r\n'],
  ['a length with text', 'Content-Length: 0a\r\n'],
  ['a very long length', `Content-Length: ${'9'.repeat(40)}\r\n`],
  ['a length of many zeros', `Content-Length: ${'0'.repeat(400)}\r\n`],
  ['a length and chunks', 'Content-Length: 44\r\nTransfer-Encoding: chunked\r\n'],
  ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 44\r\n'],
  ['an empty coding and a length', 'Transfer-Encoding:\r\nContent-Length: 44\r\n'],
  ['an unknown coding', 'Transfer-Encoding: xchunked\r\n'],
  ['another coding', 'Transfer-Encoding: gzip\r\n'],
  ['identity', 'Transfer-Encoding: identity\r\n'],
  ['an empty coding', 'Transfer-Encoding: \r\n'],
  ['two codings', 'Transfer-Encoding: gzip, chunked\r\n'],
  ['chunked twice', 'Transfer-Encoding: chunked, chunked\r\n'],
  ['chunked in two headers', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
  ['chunked and another coding', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'],
  ['an empty coding before chunked', 'Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n'],
  ['a coding with a parameter', 'Transfer-Encoding: chunked;q=1\r\n'],
  ['a quoted coding', 'Transfer-Encoding: "chunked"\r\n'],
  ['a vertical tab before the coding', 'Transfer-Encoding: \x0bchunked\r\n'],
  ['a form feed after the coding', 'Transfer-Encoding: chunked\x0c\r\n'],
  ['a no-break space before the coding', 'Transfer-Encoding: \xa0chunked\r\n'],
  ['a blank before the colon', 'Content-Length : 44\r\n'],
  ['a tab before the colon', 'Transfer-Encoding\t: chunked\r\n'],
  ['a folded header', 'X-Any: a\r\n Content-Length: 44\r\n'],
  ['a folded coding', 'Transfer-Encoding:\r\n chunked\r\n'],
  ['a line feed alone', 'X-Any: a\nContent-Length: 44\r\n'],
  ['NUL in a value', 'Content-Length: 0\x0044\r\n'],
  ['NUL in a name', 'Content-Length\0: 44\r\n'],
  ['two hosts', 'Host: y\r\n'],
]

const requestOf = ([line, headers]: readonly [string, string], framing: string): string =>
  `${line} HTTP/1.1\r\nHost: x\r\n${headers}${framing}\r\n`

for (const route of routes)
  t.test(`${route[0]}: an ambiguous end is refused, and nothing after it runs`, async t => {
    for (const [name, framing] of ambiguous) {
      const { bytes, c } = hiddenRequest()
      const received = await exchange(requestOf(route, framing) + bytes)
      t.same(statusesOf(received), ['400'], `${name}: ${received.slice(0, 200)}`)
      t.notOk(await hasRun(c), name)
    }
  })

t.test('a carriage return alone: the transport waits for the rest of the line, and nothing runs', async t => {
  for (const route of routes) {
    const { bytes, c } = hiddenRequest()
    const socket = connectTcp({ port, host: '127.0.0.1' })
    socket.end(Buffer.from(requestOf(route, 'X-Any: a\rTransfer-Encoding: chunked\r\n') + bytes, 'latin1'))
    let received = ''
    for await (const data of socket) received += data
    t.equal(received, '', route[0])
    t.notOk(await hasRun(c), route[0])
  }
})

t.test('the answer has the form of an error', async t => {
  const received = await exchange(requestOf(routes[0]!, 'Content-Length: 0\r\nContent-Length: 1\r\n'))
  t.match(received, /^HTTP\/1\.1 400 Bad Request\r\n/)
  t.match(received, /\r\nconnection: close\r\n/i)
  t.match(
    received,
    /"ok":false,"error":\{"code":"BAD_REQUEST","message":"Content-Length: send this header once\."/,
  )
})

t.test('a hidden request in a later segment does not run either', async t => {
  for (const [name, framing] of ambiguous) {
    const { bytes, c } = hiddenRequest()
    const received = await exchange(requestOf(routes[4]!, framing), bytes)
    t.same(statusesOf(received), ['400'], name)
    t.notOk(await hasRun(c), name)
  }
})

t.test('requests before the refused one on the same connection are answered', async t => {
  const { bytes, c } = hiddenRequest()
  const healthy = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  const received = await exchange(
    healthy + requestOf(routes[0]!, 'Content-Length: 1\r\nContent-Length: 2\r\n') + bytes,
  )
  t.same(statusesOf(received), ['200', '400'])
  t.notOk(await hasRun(c))
})

t.test('requests whose end is certain run, also behind each other', async t => {
  const body = JSON.stringify({ id: '1', t: 'ping' })
  const post = (framing: string, content: string) =>
    `POST /v1/commands HTTP/1.1\r\nHost: x\r\n${auth}Connection: close\r\n${framing}\r\n${content}`
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  for (const [framing, content] of [
    [`Content-Length: ${body.length}\r\n`, body],
    [`content-LENGTH:\t ${body.length} \t\r\n`, body],
    [`Content-Length: 00${body.length}\r\n`, body],
    ['Transfer-Encoding: chunked\r\n', chunks],
    ['transfer-encoding:   Chunked  \r\n', chunks],
  ] as const) {
    const received = await exchange(post(framing, content))
    t.same(statusesOf(received), ['200'], framing)
    t.match(received, /"re":"1","ok":true/, framing)
  }
  const get = (end = '') => `GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n${end}\r\n`
  t.same(statusesOf(await exchange(get() + get() + get('Connection: close\r\n'))), ['200', '200', '200'])
})

t.test('nothing after chunks runs, wherever they end for the transport', async t => {
  const body = JSON.stringify({ id: '1', t: 'ping' })
  const size = body.length.toString(16)
  const hiddenIds: string[] = []
  for (const chunks of [
    `${size}\r\n${body}\r\n0\r\n\r\n`,
    `${size}\n${body}\n0\n\n`,
    `${size}\r\n${body}XX0\r\n\r\n`,
    `${size}\r\n${body}0\r\n\r\n`,
    `${size}\r\n${body}\r\n0\r\n\rX`,
    `${size}\r\n${body}\r\n0\r\n`,
    `${size};a\n${body}\r\n0\r\n\r\n`,
    '0\r\n',
    '0;\n\r\n',
    ` ${size}\r\n${body}\r\n0\r\n\r\n`,
  ])
    for (const line of [
      'POST /v1/commands',
      'POST /no/such',
      'OPTIONS /v1/commands',
      'PUT /v1/media/transfer?x=y',
    ]) {
      const { bytes, c } = hiddenRequest()
      hiddenIds.push(c)
      const request = `${line} HTTP/1.1\r\nHost: x\r\n${auth}Transfer-Encoding: chunked\r\n\r\n${chunks}`
      const socket = connectTcp({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      const closed = new Promise(resolve => socket.once('close', resolve))
      // The transport may wait for more chunks, so the client closes the connection in the end.
      socket.end(request + bytes)
      socket.resume()
      await closed
    }
  // A request that had run in one of these connections would have been appended before this one.
  const { bytes, c } = hiddenRequest()
  t.match(await exchange(bytes), /"ok":true/)
  t.ok(await hasRun(c))
  for (const hiddenId of hiddenIds) t.notOk(await hasRun(hiddenId), hiddenId)
})

t.test('the answer to a body in chunks closes the connection', async t => {
  const body = JSON.stringify({ id: '1', t: 'ping' })
  const chunked = (line: string) =>
    `${line} HTTP/1.1\r\nHost: x\r\n${auth}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  t.match(await exchange(chunked('POST /v1/commands')), /^HTTP\/1\.1 200 [\s\S]*"re":"1","ok":true/)
  t.same(statusesOf(await exchange(chunked('POST /no/such/path'))), ['404'])
  t.same(statusesOf(await exchange(chunked('PATCH /v1/inbox'))), ['405'])
})

t.test('a GET has no chunks', async t => {
  for (const line of ['GET /healthz', 'HEAD /healthz', 'GET /v1/stream', 'GET /no/such/path'])
    t.same(
      statusesOf(await exchange(`${requestOf([line, auth], 'Transfer-Encoding: chunked\r\n')}0\r\n\r\n`)),
      ['400'],
      line,
    )
})

t.test('an upgrade has no body', async t => {
  const upgrade = (framing: string) => `GET /v1/ws HTTP/1.1\r\nHost: x\r\n${socketHeaders}${framing}\r\n`
  for (const framing of ['Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n'])
    t.same(statusesOf(await exchange(`${upgrade(framing)}\x81\x05hello`)), ['400'], framing)
  t.same(
    statusesOf(await exchange(`${upgrade('Content-Length: 0\r\n')}\x88\x80\0\0\0\0`)),
    ['101'],
    'a length of 0 is none',
  )
})

/** Framing headers as a model knows them: the name, and the value with blanks around it. */
const anyHeader = fc.record({
  name: fc.constantFrom('content-length', 'transfer-encoding', 'x-other', 'content-length-x'),
  value: fc.oneof(
    fc.nat(20).map(String),
    fc.constantFrom(
      'chunked',
      'CHUNKED',
      'gzip',
      'chunked, gzip',
      '',
      '+5',
      '5, 5',
      '0x5',
      '5 5',
      '٥',
      '1e1',
    ),
    fc.string({ maxLength: 6 }).map(text => text.replaceAll(/[^\x21-\x7e]/g, '')),
  ),
  isUpper: fc.boolean(),
  before: fc.constantFrom('', ' ', '\t', '  \t'),
  after: fc.constantFrom('', ' ', '\t'),
})

t.test('any combination of headers: refused unless the end is certain', async t => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        fc.array(anyHeader, { maxLength: 4 }),
        fc.constantFrom(...routes),
        async (headers, route) => {
          const lines = headers.map(({ name, value, isUpper, before, after }) => {
            const bytes = Buffer.from(value, 'utf8').toString('latin1')
            return `${isUpper ? name.toUpperCase() : name}:${before}${bytes}${after}\r\n`
          })
          const of = (name: string) =>
            headers.filter(header => header.name === name).map(({ value }) => value)
          const [lengths, codings] = [of('content-length'), of('transfer-encoding')]
          const isCertain =
            lengths.length + codings.length <= 1 &&
            lengths.every(length => /^[0-9]{1,15}$/.test(length)) &&
            codings.every(coding => coding.toLowerCase() === 'chunked')
          const why = framingProblem(
            'post',
            headers.map(({ name, value }) => [name, value] as const),
          )
          if ((why === undefined) !== isCertain) throw new Error(`${JSON.stringify(headers)}: ${why}`)
          if (isCertain) return
          const { bytes, c } = hiddenRequest()
          const received = await exchange(requestOf(route, lines.join('')) + bytes)
          if (String(statusesOf(received)) !== '400' || (await hasRun(c)))
            throw new Error(`${JSON.stringify(lines)} at ${route[0]}: ${received.slice(0, 300)}`)
        },
      ),
      { numRuns: 400 },
    ),
  )
})
