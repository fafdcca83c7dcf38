import { get } from 'node:http'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startConfab, type TestConfab } from '../harness/confab.ts'

/** Parses an answer in chunks strictly (RFC 9112, 7.1). Returns its body; throws where the form is not kept. */
const bodyOf = (answer: Buffer): string => {
  const text = answer.toString('latin1')
  const start = text.indexOf('\r\n\r\n') + 4
  let body = ''
  for (let at = start; ; ) {
    const line = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20))
    if (line === null) throw new Error(`no chunk at ${at}: ${JSON.stringify(text.slice(at, at + 60))}`)
    const size = Number.parseInt(line[1]!, 16)
    at += line[0].length
    body += text.slice(at, at + size)
    at += size
    if (text.slice(at, at + 2) !== '\r\n') throw new Error(`a chunk of ${size} bytes does not end at ${at}`)
    at += 2
    if (size > 0) continue
    if (at !== text.length) throw new Error(`${text.length - at} bytes after the last chunk`)
    return body
  }
}

/** Opens a stream on a raw socket. Resolves with all bytes up to the last chunk, or to the end of the connection. */
const rawStream = (port: number, token: string): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const received: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`),
    )
    socket.on('data', data => {
      received.push(data)
      if (String(data).endsWith('0\r\n\r\n')) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(Buffer.concat(received)))
  })

/** Opens a stream with node:http, whose parser is strict. Resolves with its body. */
const nodeStream = (port: number, token: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    get({ port, host: '127.0.0.1', path: '/v1/stream', headers, insecureHTTPParser: false }, answer => {
      let body = ''
      answer.on('data', data => {
        body += String(data)
      })
      answer.on('end', () => resolve(body))
      answer.on('error', reject)
    }).on('error', reject)
  })

const ends: readonly (readonly [
  name: string,
  expiresInSeconds: number,
  end: (confab: TestConfab) => unknown,
])[] = [
  ['an expired token', 2, () => {}],
  ['a drain', 600, confab => confab.edge.drain()],
]

for (const [name, expiresInSeconds, end] of ends)
  t.test(`a stream that ends by ${name} is well-formed HTTP`, async (t: Test) => {
    const confab = await startConfab(t)
    const token = await confab.token('alice', { expiresInSeconds })
    const streams = Promise.all([rawStream(confab.edge.port, token), nodeStream(confab.edge.port, token)])
    while (confab.edge.connections() < 2) await new Promise(resolve => setTimeout(resolve, 10))
    await end(confab)
    const [raw, parsed] = await streams
    t.match(bodyOf(raw), /"t":"hello"[\s\S]*"t":"closed"/)
    t.match(parsed, /"t":"hello"[\s\S]*"t":"closed"/)
    t.equal(String(raw).match(/connection: close/gi)?.length, 1, 'the head says that the connection ends')
  })
