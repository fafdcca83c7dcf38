import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { SignJWT } from 'jose'
import { Packr } from 'msgpackr'
import type tap from 'tap'
import t from 'tap'
import { defaultEdgeLimits } from '../../src/edge/ports/edge-limits.ts'
import { Limits, Requests } from '../../src/events/index.ts'
import { startConfab, testSecret } from '../harness/confab.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const confab = await startConfab(t)
const packr = new Packr({ useRecords: false })

/** Other users talk meanwhile and must not notice anything. */
const alice = await confab.connect('alice')
const bob = await confab.connect('bob')
await alice.ok('create', { c: 'calm', kind: 'group', members: ['bob', 'mallory'] })
let talked = 1
const others = async (t: Pick<typeof tap, 'same'>): Promise<void> => {
  await alice.ok('send', { c: 'calm', m: `m${talked}`, text: 'still here' })
  await bob.event('calm', ++talked)
  t.same(
    bob.seqs('calm'),
    Array.from({ length: talked }, (_, n) => n + 1),
    'the others notice nothing',
  )
}

const errorCode = (frame: Fields) => (frame.error as { code?: string } | undefined)?.code

/** Returns the answers to frames, each on a fresh session, because ten bad frames close one. */
const answerTo = async (
  frame: string | Uint8Array | Fields,
  subprotocol: 'confab.v1.json' | 'confab.v1.msgpack' = 'confab.v1.json',
): Promise<{ answer: Fields; socket: RawClient }> => {
  const socket = await confab.connect('mallory', { subprotocol })
  const answered = socket.next(other => 're' in other)
  socket.send(frame)
  return { answer: await answered, socket }
}

const nest = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

t.test('frames that are not JSON objects', async t => {
  const frames: [name: string, frame: string | Uint8Array][] = [
    ['nothing', ''],
    ['not JSON', 'hello'],
    ['cut short', '{"id":"1","t":"ping"'],
    ['two objects', '{}{}'],
    ['an array', '[]'],
    ['a string', '"ping"'],
    ['null', 'null'],
    ['a number', '1e999'],
    ['deep arrays', nest(30_000)],
    ['deep arrays, cut short', '['.repeat(60_000)],
    ['not UTF-8', new Uint8Array([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d])],
    ['a surrogate in UTF-8', new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['binary zeros', new Uint8Array(1000)],
  ]
  for (const [name, frame] of frames) {
    const { answer, socket } = await answerTo(frame)
    t.match(answer, { re: null, ok: false, error: { code: 'BAD_REQUEST', retryable: false } }, name)
    await socket.ok('ping')
    socket.close()
  }
  await others(t)
})

t.test('harmful MessagePack', async t => {
  const frames: [name: string, frame: Uint8Array][] = [
    ['an array of four thousand million', new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['a map of four thousand million', new Uint8Array([0xdf, 0xff, 0xff, 0xff, 0xff])],
    [
      'arrays of arrays of 65,535',
      Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from([0xdc, 0xff, 0xff]))),
    ],
    ['deep arrays', new Uint8Array(60_000).fill(0x91)],
    ['deep maps', Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from([0x81, 0xa1, 0x61])))],
    ['an extension', Buffer.concat([Buffer.from([0x81, 0xa1, 0x61]), packr.pack(new Date())])],
    ['a string that is no UTF-8', new Uint8Array([0x81, 0xa1, 0x61, 0xa2, 0xc3, 0x28])],
    ['an array', packr.pack([1])],
    ['text', Buffer.from('{"id":"1","t":"ping"}')],
  ]
  for (const [name, frame] of frames) {
    const { answer, socket } = await answerTo(frame, 'confab.v1.msgpack')
    t.match(answer, { re: null, ok: false, error: { code: 'BAD_REQUEST' } }, name)
    await socket.ok('ping')
    socket.close()
  }
  await others(t)
})

t.test('objects that are not requests', async t => {
  const deep = nest(10_000)
  const requests: [name: string, frame: Fields | string, code: string, re?: string | null][] = [
    ['empty', {}, 'BAD_REQUEST', null],
    ['no id', { t: 'ping' }, 'BAD_REQUEST', null],
    ['a number as id', { id: 1, t: 'ping' }, 'BAD_REQUEST', null],
    ['an empty id', { id: '', t: 'ping' }, 'BAD_REQUEST', null],
    ['an id over the limit', { id: 'x'.repeat(65), t: 'ping' }, 'BAD_REQUEST', null],
    ['no type', { id: 'a' }, 'BAD_REQUEST', 'a'],
    ['a type of no request', { id: 'a', t: 'dance' }, 'BAD_REQUEST', 'a'],
    ['a type of objects', { id: 'a', t: 'constructor' }, 'BAD_REQUEST', 'a'],
    ['a prototype', '{"id":"a","t":"send","__proto__":{"c":"calm","m":"x","text":"y"}}', 'BAD_REQUEST', 'a'],
    ['deep members', `{"id":"a","t":"create","c":"x","kind":"group","members":${deep}}`, 'BAD_REQUEST', 'a'],
    ['deep text', `{"id":"a","t":"send","c":"calm","m":"x","text":${deep}}`, 'BAD_REQUEST', 'a'],
    ['half a surrogate', '{"id":"a","t":"send","c":"calm","m":"x","text":"\\ud800"}', 'BAD_REQUEST', 'a'],
    ['an id of 65', { id: 'a', t: 'send', c: 'x'.repeat(65), m: 'x', text: 'y' }, 'BAD_REQUEST', 'a'],
    ['an id with a dot', { id: 'a', t: 'send', c: 'a.b', m: 'x', text: 'y' }, 'BAD_REQUEST', 'a'],
    ['an id with a wildcard', { id: 'a', t: 'history', c: '>' }, 'BAD_REQUEST', 'a'],
    [
      'text over the limit',
      { id: 'a', t: 'send', c: 'calm', m: 'x', text: 'x'.repeat(16_385) },
      'TOO_LARGE',
      'a',
    ],
    [
      'a frame over the limit',
      { id: 'a', t: 'send', c: 'calm', m: 'x', text: 'x'.repeat(70_000) },
      'TOO_LARGE',
      'a',
    ],
    ['a frame far over the limit', { t: 'send', id: 'a', text: 'x'.repeat(120_000) }, 'TOO_LARGE', null],
  ]
  for (const [name, frame, code, re] of requests) {
    const { answer, socket } = await answerTo(frame)
    t.match(answer, { re, ok: false, error: { code } }, name)
    await socket.ok('ping')
    socket.close()
  }
  const { answer } = await answerTo({ id: 'x'.repeat(64), t: 'ping' })
  t.match(answer, { re: 'x'.repeat(64), ok: true }, 'an id at the limit')
  const ids = { c: 'C'.repeat(64), m: '-_'.repeat(32) }
  const socket = await confab.connect('mallory')
  await socket.ok('create', { c: ids.c, kind: 'group', members: [] })
  await socket.ok('send', { ...ids, text: 'x'.repeat(16_384) })
  await others(t)
})

t.test('any values in any request: one answer each, and nothing worse', async t => {
  const schemas = Object.entries(Requests)
  const fields = [...new Set(schemas.flatMap(([, schema]) => Object.keys(schema.properties)))]
  const likely = fc.constantFrom<unknown>(
    'calm',
    'bob',
    1,
    0,
    -1,
    '',
    [],
    {},
    ['bob'],
    { calm: 1 },
    true,
    'group',
    'm1',
    null,
    2 ** 53,
  )
  const request = fc.record({
    t: fc.constantFrom(...schemas.map(([type]) => type).filter(type => type !== 'leave')),
    fields: fc.dictionary(fc.constantFrom(...fields), fc.oneof(likely, fc.jsonValue({ maxDepth: 3 })), {
      maxKeys: 8,
    }),
  })
  const mallory = {
    json: await confab.connect('mallory', { subprotocol: 'confab.v1.json' }),
    msgpack: await confab.connect('mallory', { subprotocol: 'confab.v1.msgpack' }),
  }
  const known = new Set([
    'ok',
    'BAD_REQUEST',
    'NOT_FOUND',
    'FORBIDDEN',
    'CONFLICT',
    'ALREADY_EXISTS',
    'NOT_MEMBER',
  ])
  await fc.assert(
    fc.asyncProperty(request, fc.boolean(), async ({ t: type, fields }, asJson) => {
      const { id: _id, t: _t, ...rest } = fields
      const answer = await mallory[asJson ? 'json' : 'msgpack'].request(type, rest)
      return known.has(answer.ok === true ? 'ok' : String(errorCode(answer)))
    }),
    { numRuns: 600 },
  )
  await alice.ok('history', { c: 'calm', after: 0 }).then(({ head }) => {
    talked = head as number
  })
  await bob.event('calm', talked)
  await others(t)
})

/** Bytes that do not begin a MessagePack map: a map would decode to a readable, wrong object. */
const noMap = fc
  .uint8Array({ minLength: 1, maxLength: 200 })
  .filter(([first = 0]) => (first & 0xf0) !== 0x80 && first !== 0xde && first !== 0xdf)

t.test('random bytes, at most ten frames', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(noMap, { minLength: 12, maxLength: 12 }), async frames => {
      const socket = await confab.connect('mallory', { subprotocol: 'confab.v1.msgpack' })
      for (const frame of frames) socket.send(frame)
      // A random small integer may be valid MessagePack, but is not a map: every frame is bad.
      const { code } = await socket.closed
      const refused = socket.frames.filter(frame => errorCode(frame) === 'BAD_REQUEST')
      return code === 1008 && refused.length === Limits.badFrames
    }),
    { numRuns: 20 },
  )
  await others(t)
})

t.test('tokens: expired, forged, of another kind', async t => {
  const key = new TextEncoder().encode(testSecret)
  const tokens = [
    await new SignJWT({ sub: 'alice' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('-1h')
      .sign(key),
    await new SignJWT({ sub: 'alice' })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode('guessed')),
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"alice"}').toString('base64url')}.`,
    await new SignJWT({ sub: 'not an id' }).setProtectedHeader({ alg: 'HS256' }).sign(key),
    'x'.repeat(8192),
    '....',
  ]
  for (const token of tokens) {
    const socket = await confab.socket()
    t.equal(await socket.code('hello', { token }), 'UNAUTHENTICATED')
    t.match(await socket.closed, { code: 4001 })
  }
  const long = await confab.socket()
  t.equal(await long.code('hello', { token: 'x'.repeat(8193) }), 'BAD_REQUEST')
  await others(t)
})

t.test('the transport’s own limits', async t => {
  const socket = await confab.connect('mallory')
  socket.send('x'.repeat(defaultEdgeLimits.closingBytes + 1))
  t.match(await socket.closed, { code: 1009 })
  const larger = await confab.connect('mallory')
  larger.send('x'.repeat(defaultEdgeLimits.transportBytes + 1))
  t.match(await larger.closed, { code: 1006 })

  // RFC 6455: the transport fails a connection on a text frame that is not UTF-8.
  const raw = connect(confab.edge.port, '127.0.0.1')
  raw.write(
    'GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  await new Promise(resolve => raw.once('data', resolve))
  raw.write(new Uint8Array([0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28]))
  await new Promise(resolve => raw.once('close', resolve))
  await others(t)
})

t.test('memory returns', async t => {
  const collect = () => {
    for (let n = 0; n < 4; n++) gc()
    return process.memoryUsage()
  }
  const flood = async () => {
    for (let round = 0; round < 4; round++) {
      const sockets = await Promise.all(Array.from({ length: 10 }, () => confab.connect('mallory')))
      for (const socket of sockets) {
        socket.send({ id: 'a', t: 'send', c: 'calm', m: 'x', text: 'x'.repeat(100_000) })
        socket.send(`{"id":"b","t":"create","c":"y","kind":"group","members":${nest(20_000)}}`)
        socket.send(nest(30_000))
      }
      for (const socket of sockets) {
        await socket.find(frame => errorCode(frame) === 'TOO_LARGE')
        await socket.find(frame => frame.re === 'b')
        socket.close()
        await socket.closed
      }
    }
  }
  await flood()
  const before = collect()
  await flood()
  await flood()
  const after = collect()
  const grown = (after.heapUsed + after.external - before.heapUsed - before.external) / 1024 ** 2
  t.ok(grown < 16, `${grown.toFixed(1)} MiB more`)
  await others(t)
})

t.test('no internal error occurred', async t => {
  t.same(
    confab.logged.filter(
      line => line.message === 'request failed' || line.message === 'a live event could not be handled',
    ),
    [],
  )
})
