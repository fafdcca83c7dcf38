import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import t from 'tap'
import { decodeFrame, leadingId } from '../../src/edge/sessions/frames.ts'
import { decodeRequest, leadingMessageId } from '../../src/edge/transports/grpc/grpc-messages.ts'
import { Limits } from '../../src/events/index.ts'
import { messageOf } from '../fuzz/grpc-lane.ts'
import { startConfab } from '../harness/confab.ts'
import { GrpcClient } from '../harness/grpc-client.ts'
import { noRates } from '../harness/no-rates.ts'
import type { Fields, RawClient } from '../harness/raw-client.ts'

const packr = new Packr({ useRecords: false })
const asArrayBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer

const frames = {
  json: (value: Fields) => asArrayBuffer(Buffer.from(JSON.stringify(value))),
  msgpack: (value: Fields) => asArrayBuffer(packr.pack(value)),
} as const

const bytes = 64 * 1024
const confab = await startConfab(t, {
  edge: { grpcPort: 0 },
  // One frame of the largest size in 100 seconds.
  limits: { ...noRates, burstMs: 100_000, socketBytes: bytes / 100, userBytes: bytes / 100 },
})
const large = 'x'.repeat(60_000)
const codeOf = (answer: Fields) => (answer.error as { code?: string } | undefined)?.code

t.test('the id at the start of a frame is that of the decoded frame, or unknown', async t => {
  const value = fc.record({
    id: fc.oneof(fc.string({ unit: 'binary', maxLength: 70 }), fc.integer()),
    t: fc.constant('ping'),
    x: fc.string({ maxLength: 400 }),
  })
  for (const encoding of ['json', 'msgpack'] as const)
    fc.assert(
      fc.property(value, fc.nat({ max: 1_000 }), fc.nat({ max: 255 }), (value, place, byte) => {
        const message = frames[encoding](value)
        const bytes = new Uint8Array(message)
        if (place < bytes.length) bytes[place] = byte
        const found = leadingId(message, encoding)
        if (found === null) return true
        let decoded: Fields
        try {
          decoded = decodeFrame(message, encoding === 'msgpack', encoding)
        } catch {
          return isUtf8(Buffer.from(found)) && found.length <= Limits.idChars
        }
        return decoded.id === found
      }),
    )
  const id = 'é'.repeat(Limits.idChars)
  for (const encoding of ['json', 'msgpack'] as const) {
    t.equal(leadingId(frames[encoding]({ id, t: 'ping' }), encoding), id)
    t.equal(leadingId(frames[encoding]({ id: `${id}x`, t: 'ping' }), encoding), null)
    t.equal(leadingId(frames[encoding]({ t: 'ping', id }), encoding), null)
    t.equal(leadingId(new ArrayBuffer(0), encoding), null)
  }
  t.equal(leadingMessageId(messageOf({ id: 'r1', t: 'ping' })), 'r1')
  t.equal(leadingMessageId(messageOf({ id: 'x'.repeat(65), t: 'ping' })), null)
  t.equal(decodeRequest(messageOf({ id: 'r1', t: 'ping' })).id, 'r1')
})

for (const subprotocol of ['confab.v1.json', 'confab.v1.msgpack'] as const)
  t.test(`frames beyond the rate of bytes are not decoded: ${subprotocol}`, async t => {
    const client: RawClient = await confab.connect(`user-${subprotocol.split('.')[2]}`, { subprotocol })
    t.equal(await client.code('send', { c: 'tea', m: 'm', text: large }), 'TOO_LARGE', 'the first is read')
    const refused = async (frame: Fields) => {
      const answer = client.next(({ re }) => re !== undefined)
      client.send(frame)
      const { re, ...rest } = await answer
      t.equal(codeOf(rest), 'RATE_LIMITED')
      return re
    }
    const last = (id: string) => ({ t: 'send', text: large, id })
    t.equal(await refused(last('a')), 'a', 'as many are decoded for their id')
    t.equal(await refused(last('b')), null)
    t.equal(await refused({ id: 'c', t: 'send', text: large }), 'c', 'an id at the start is always found')
    for (let n = 0; n < 2 * Limits.badFrames; n++)
      client.send(subprotocol === 'confab.v1.json' ? 'x'.repeat(60_000) : new Uint8Array(60_000))
    t.equal(await refused(last('d')), null, 'what is not decoded is no unreadable frame')
  })

t.test('messages beyond the rate of bytes are not decoded: gRPC', async t => {
  const client = new GrpcClient(confab.edge.grpcPort!, { token: await confab.token('user-grpc') })
  t.teardown(() => client.close())
  await client.ok('hello')
  t.equal(await client.code('send', { c: 'tea', m: 'm', text: large }), 'TOO_LARGE')
  for (let n = 0; n < 5; n++)
    t.equal(await client.code('send', { c: 'tea', m: 'm', text: large }), 'RATE_LIMITED', 'with its id')
})

t.test('frames before hello count for the socket, and then for the user', async t => {
  const token = await confab.token('early')
  const early = async () => {
    const socket = await confab.socket()
    socket.send({ id: 'h', t: 'hello', token })
    socket.send({ id: 'a', t: 'send', c: 'tea', m: 'm', text: large })
    return codeOf(await socket.find(({ re }) => re === 'a'))
  }
  t.equal(await early(), 'TOO_LARGE')
  t.equal(await early(), 'RATE_LIMITED')
})
