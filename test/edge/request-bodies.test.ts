import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openMediaFolder } from '../../src/infra/media-folder/index.ts'
import { startConfab } from '../harness/confab.ts'
import { tempFolder } from '../harness/temp-folder.ts'
import { described, httpOf, png, type UploadAnswer } from '../harness/upload.ts'

const MiB = 1024 ** 2
const declared = 60 * MiB
/** More than the buffers of both kernels and one read of the server. */
const most = 24 * MiB

const confab = await startConfab(t, { mediaStore: await openMediaFolder(join(tempFolder(t), 'media')) })

interface Sent {
  readonly status: number
  readonly text: string
  /** Bytes that the client could send before the server closed the connection. */
  readonly bytes: number
}

/** Sends a request with a body of 60 MiB until the server closes the connection. */
const sendLarge = async (head: string, headers: Record<string, string> = {}): Promise<Sent> => {
  const socket = connect(confab.edge.port, '127.0.0.1')
  let text = ''
  let bytes = 0
  let isClosed = false
  socket.on('data', data => {
    text += String(data)
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    isClosed = true
  })
  const lines = Object.entries({ host: 'x', 'content-length': String(declared), ...headers })
  socket.write(`${head} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`)
  const chunk = Buffer.alloc(256 * 1024, 'x')
  while (!isClosed && bytes < declared) {
    const isTaken = await new Promise<boolean>(resolve => {
      const timer = setTimeout(resolve, 2_000, false)
      socket.write(chunk, error => {
        clearTimeout(timer)
        resolve(error == null)
      })
    })
    if (!isTaken) break
    bytes += chunk.length
  }
  for (const end = Date.now() + 2_000; !isClosed && Date.now() < end; ) await sleep(5)
  const closed = isClosed
  socket.destroy()
  if (!closed) throw new Error(`the connection is open after ${bytes} bytes: ${text.slice(0, 100)}`)
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), text, bytes }
}

t.test('a large body is not read before the client is authenticated, on any route', async t => {
  const forged = { authorization: 'Bearer not.a.token' }
  const cases: [head: string, headers: Record<string, string>, status: number][] = [
    ['POST /v1/commands', {}, 401],
    ['POST /v1/commands', forged, 401],
    ['POST /v1/media/m-1/complete', {}, 401],
    ['PUT /v1/media/transfer?x=1', {}, 403],
    ['GET /v1/inbox', {}, 401],
    ['GET /v1/stream', forged, 401],
    ['POST /v1/inbox', {}, 405],
    ['POST /nothing/here', {}, 404],
  ]
  for (const [head, headers, status] of cases) {
    const sent = await sendLarge(head, headers)
    t.ok(sent.bytes < most, `${head}: ${sent.bytes} bytes`)
    // A reset may overtake the answer, when the client was still sending.
    if (sent.text !== '') t.equal(sent.status, status, head)
    if (sent.text !== '') t.match(sent.text, /^connection: close\r$/im, head)
  }
  t.equal((await fetch(`${confab.url}/healthz`)).status, 200)
})

t.test('fetch sees the answer although the body was not read', async t => {
  const body = Buffer.alloc(declared, 'x')
  const answer = await fetch(`${confab.url}/v1/commands`, { method: 'POST', body })
  t.equal(answer.status, 401)
  t.match(await answer.json(), { ok: false, re: null, error: { code: 'UNAUTHENTICATED' } })
})

t.test('a body over the limit is refused before its end', async t => {
  const authorization = `Bearer ${await confab.token('alice')}`
  const sent = await sendLarge('POST /v1/commands', { authorization })
  t.ok(sent.bytes < most, `${sent.bytes} bytes`)
  const chunked = await fetch(`${confab.url}/v1/commands`, {
    method: 'POST',
    headers: { authorization },
    body: new Blob([Buffer.alloc(2 * MiB, 'x')]).stream(),
    duplex: 'half',
  } as RequestInit)
  t.equal(chunked.status, 413)
  t.match(await chunked.json(), { error: { code: 'TOO_LARGE' } })
})

t.test('a part of another size is refused before it is read', async t => {
  const alice = httpOf(confab, 'alice')
  const answer = (await alice.request('media', described(png('small')))) as unknown as UploadAnswer
  const { pathname, search } = new URL(answer.parts[0]!.url, confab.url)
  const sent = await sendLarge(`PUT ${pathname}${search}`)
  t.ok(sent.bytes < most, `${sent.bytes} bytes`)
  if (sent.text !== '') t.equal(sent.status, 400)
})

t.test('a body that arrives in pieces is read as a whole', async t => {
  const body = JSON.stringify({ id: 'slow', t: 'ping' }).padEnd(40_000)
  const socket = connect(confab.edge.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', data => {
    text += String(data)
  })
  const authorization = `Bearer ${await confab.token('alice')}`
  const head = `POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-length: ${body.length}\r\n\r\n`
  socket.write(head)
  for (let at = 0; at < body.length; at += 5_000) {
    await sleep(5)
    socket.write(body.slice(at, at + 5_000))
  }
  for (let n = 0; n < 400 && !text.includes('"re":"slow"'); n++) await sleep(5)
  t.match(text, /^HTTP\/1\.1 200/)
  t.notMatch(text, /connection: close/i, 'and the connection stays open')
  const { length } = text
  socket.write(head + body)
  for (let n = 0; n < 400 && text.length < 2 * length; n++) await sleep(5)
  t.equal(text.match(/"re":"slow"/g)?.length, 2)
})
