import t from 'tap'
import { type DialectName, dialects, Kind } from '../../bench/load/dialects/index.ts'
import {
  clockMicros,
  readHex,
  SendFrame,
  SendLayout,
  sendTemplate,
  sentMicros,
} from '../../bench/load/frames.ts'

/** Returns the payload of a client's frame, whose mask is zero. */
const payloadOf = (frame: Buffer): Buffer => frame.subarray((frame[1]! & 0x7f) === 126 ? 8 : 6)

const last = 'fedcba98-7654-7000-8000-000000000011'

/** Real answers of the servers. */
const said: Record<
  DialectName,
  { ack: string; refusal?: string; delivery: string; other: string[]; place: object }
> = {
  confab: {
    ack: '{"re":"00000011","ok":true,"seq":7,"at":"2026-11-24T02:30:43.123Z","duplicate":false}',
    refusal: '{"re":"00000011","ok":false,"error":{"code":"NOT_MEMBER","message":"…","retryable":false}}',
    delivery: `{"t":"event","c":"bench-000003","seq":7,"type":"message.posted","m":"${last}","n":6,"text":"…"}`,
    other: ['{"t":"signal","type":"typing","c":"bench-000003"}', '{"t":"synced","c":"bench-000003","seq":7}'],
    place: { resume: { 'bench-000003': 7 } },
  },
  'socket.io': {
    ack: '4310000017[{"ok":true}]',
    delivery: `42["message",{"c":"bench-000003","m":"${last}","text":"…"},"dGhlIG9mZnNldA"]`,
    other: ['0{"sid":"x"}', '40{"sid":"x","pid":"y"}'],
    place: { pid: 'p', offset: 'dGhlIG9mZnNldA' },
  },
  centrifuge: {
    ack: '{"id":10000017,"publish":{}}',
    refusal: '{"id":10000017,"error":{"code":103,"message":"permission denied"}}',
    delivery: `{"push":{"channel":"bench-000003","pub":{"data":{"c":"bench-000003","m":"${last}","text":"…"},"offset":9}}}`,
    other: ['{"connect":{}}'],
    place: { recover: true, offset: 9, epoch: 'e' },
  },
}

for (const [name, dialect] of Object.entries(dialects)) {
  t.test(`${name}: frames of the server are classified`, async t => {
    const { ack, refusal, delivery, other, place } = said[name as DialectName]
    const kind = (text: string) => dialect.kind(Buffer.from(text), 0, text.length)
    t.equal(kind(ack), Kind.ack)
    t.equal(dialect.numberOf(Buffer.from(ack), 0, ack.length), 0x11)
    t.equal(kind(delivery), Kind.delivery)
    if (refusal !== undefined) t.equal(kind(refusal), Kind.refusal)
    for (const text of other) t.equal(kind(text), Kind.other, text)
    t.same(dialect.placeAfter(delivery, { pid: 'p', epoch: 'e' }), place)
  })

  t.test(`${name}: a frame is reused for a new message and keeps its form`, async t => {
    const frame = new SendFrame(dialect.template('bench-000003'), 150)
    frame.set(0x11, 0x0194_0000_0000)
    const text = payloadOf(frame.bytes).toString()
    const json = text.slice(text.search(/[[{]/))
    const parsed = JSON.stringify(JSON.parse(json))
    t.match(parsed, '"m":"01940000-0000-7')
    t.match(parsed, /"m":"[0-9a-f-]{24}000000000011"/)
    t.equal(/"text":"([^"]*)"/.exec(parsed)?.[1]?.length, 150)
    const length = frame.bytes.length
    frame.set(0x12, Date.now())
    t.equal(frame.bytes.length, length)
  })
}

t.test('a frame carries its number, its conversation and the time when it should have been sent', async t => {
  const frame = new SendFrame(sendTemplate('bench-000003'))
  const before = clockMicros()
  frame.set(0xabc, Date.now(), 1000)
  const payload = payloadOf(frame.bytes)
  t.equal(readHex(payload, SendLayout.id.start, SendLayout.id.end), 0xabc)
  t.equal(payload.toString('latin1', SendLayout.c.start, SendLayout.c.end), 'bench-000003')
  t.ok(sentMicros(payload, 0, payload.length) >= before - 1_000_000)
  t.ok(sentMicros(payload, 0, payload.length) <= clockMicros() - 1_000_000)
  t.equal(payload.indexOf('"}') + 2, payload.length)
})
