import { headers, type Msg } from '@nats-io/transport-node'
import fc from 'fast-check'
import t from 'tap'
import { type Envelope, encodeEnvelope, partitionOf, streamOfPartition } from '../../../src/events/index.ts'
import { isConflict, isRefusal, readAck, refusalError } from '../../../src/infra/nats/client/publish-ack.ts'
import { headerIn, headerText, needleOf, statusIn } from '../../../src/infra/nats/client/raw-message.ts'
import { headerBlock } from '../../../src/infra/nats/log/jetstream-event-log.ts'
import { readAckSubject } from '../../../src/infra/nats/log/ordered-consumer.ts'
import { envelopeIn } from '../../../src/infra/nats/log/stored-message.ts'
import { startNats } from '../../harness/nats.ts'

const token = fc.string({
  minLength: 1,
  maxLength: 64,
  unit: fc.integer({ min: 0x21, max: 0x7e }).map(code => String.fromCharCode(code)),
})
const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const envelopes: fc.Arbitrary<Envelope> = fc.record(
  {
    type: token,
    version: fc.integer({ min: 1, max: 99 }),
    seq: count,
    n: fc.nat(),
    actor: token,
    commandId: token,
    epoch: fc.integer({ min: 1, max: 99 }),
    keyId: token,
    traceparent: token,
  },
  { requiredKeys: ['type', 'version', 'seq', 'n', 'actor', 'commandId', 'epoch'] },
)

t.test('the header block equals encodeEnvelope, and can be read back', async t => {
  fc.assert(
    fc.property(envelopes, envelope => {
      const lines = encodeEnvelope(envelope).map(([name, value]) => `${name}: ${value}\r\n`)
      const block = headerBlock(envelope, 'More: 1\r\n')
      t.equal(block, `NATS/1.0\r\n${lines.join('')}Nats-Msg-Id: ${envelope.commandId}\r\nMore: 1\r\n\r\n`)
      t.same(envelopeIn(block), envelope)
      // The order of another writer, and no space after the colon.
      t.same(envelopeIn(`NATS/1.0\r\n${lines.reverse().join('').replaceAll(': ', ':')}\r\n`), envelope)
    }),
    { numRuns: 50 },
  )
})

t.test('no value can add a header', async t => {
  const good: Envelope = { type: 'a', version: 1, seq: 1, n: 0, actor: 'a', commandId: 'c', epoch: 1 }
  for (const bad of ['a\r\nNats-Msg-Id: x', '', 'a b', 'ü', 'x'.repeat(257)])
    for (const field of ['type', 'actor', 'commandId', 'keyId', 'traceparent'])
      t.throws(() => headerBlock({ ...good, [field]: bad }, ''), TypeError, field)
})

t.test('invalid envelopes are rejected', async t => {
  for (const text of [
    '',
    'NATS/1.0\r\n\r\n',
    'NATS/1.0 503\r\n\r\n',
    'NATS/1.0\r\nConfab-Type: message.posted\r\n\r\n',
    headerBlock({ type: 'a', version: 0, seq: 0, n: 0, actor: 'a', commandId: 'c', epoch: 1 }, ''),
    headerBlock({ type: 'a', version: 1, seq: Number.NaN, n: 0, actor: 'a', commandId: 'c', epoch: 1 }, ''),
  ])
    t.equal(envelopeIn(text), undefined)
})

t.test('headers of a real message, as text', async t => {
  const nats = await startNats(t)
  const { connection } = await nats.connect()
  const big = 'x'.repeat(200_000)
  const messages: Msg[] = []
  const sub = connection.subscribe('some.*', {
    callback: (_error, msg) => {
      messages.push(msg)
    },
  })
  const some = headers()
  some.append('One', '1')
  some.append('Two', 'two words')
  connection.publish('some.with', 'body', { headers: some })
  connection.publish('some.without', 'body')
  // Arrives in several reads and is assembled from pieces.
  connection.publish('some.big', big, { headers: some })
  await connection.flush()
  const [first, second, third] = messages as [Msg, Msg, Msg]
  for (const msg of [first, third]) {
    t.equal(headerIn(headerText(msg), needleOf('One')), '1')
    t.equal(headerIn(headerText(msg), needleOf('Two')), 'two words')
    t.equal(headerIn(headerText(msg), needleOf('Three')), undefined)
    t.equal(statusIn(headerText(msg)), 0)
  }
  t.equal(headerText(second), '')
  t.equal(third.data.length, big.length)
  const refused = await connection.request('nobody.listens', '').catch((error: Error) => error)
  t.ok(refused instanceof Error)
  sub.unsubscribe()
})

const ack = (text: string): Msg =>
  ({ data: new TextEncoder().encode(text), _msg: { hdr: -1 }, _rdata: undefined }) as unknown as Msg

t.test('acks and refusals are distinguished', async t => {
  t.same(readAck(ack('{"stream":"CONV_0","seq":7}')), { stream: 'CONV_0', seq: 7, duplicate: false })
  t.same(readAck(ack('{"stream":"CONV_0", "domain":"hub", "seq":7,"duplicate": true}')), {
    stream: 'CONV_0',
    seq: 7,
    duplicate: true,
  })
  t.same(readAck(ack('{"stream":"CONV_0","seq":9,"batch":"b1","count":3}')), {
    stream: 'CONV_0',
    seq: 9,
    duplicate: false,
  })
  const refusal = (code: number, errCode: number, description: string) => {
    const read = readAck(
      ack(JSON.stringify({ error: { code, err_code: errCode, description }, stream: 'CONV_0', seq: 0 })),
    )
    if (!isRefusal(read)) throw new Error('no refusal')
    return read
  }
  t.ok(isConflict(refusal(400, 10071, 'wrong last sequence: 12')))
  t.ok(isConflict(refusal(400, 10164, 'wrong last sequence')), 'while the winner is in flight')
  for (const [code, errCode, description, error] of [
    [429, 10167, 'too many requests', 'OVERLOADED'],
    [429, 10210, 'atomic publish too many inflight', 'OVERLOADED'],
    [400, 10176, 'atomic publish batch is incomplete', 'OVERLOADED'],
    [503, 10023, 'insufficient resources', 'OVERLOADED'],
    [500, 10047, 'insufficient storage resources available', 'OVERLOADED'],
    [503, 10077, 'write /data/1.blk: no space left on device', 'UNAVAILABLE'],
    [409, 10158, 'duplicate message id is in process', 'UNAVAILABLE'],
    [503, 10039, 'JetStream not enabled for account', 'UNAVAILABLE'],
    [400, 10054, 'message size exceeds maximum allowed', 'TOO_LARGE'],
  ] as const) {
    const read = refusal(code, errCode, description)
    t.notOk(isConflict(read))
    t.equal(refusalError(read).code, error, description)
  }
  for (const nonsense of ['', '{', 'null', '[]', '{"stream":"CONV_0"}', '+OK'])
    t.ok(isRefusal(readAck(ack(nonsense))), nonsense)
})

t.test('a delivery contains its position', async t => {
  const expected = { streamSeq: 70, consumerSeq: 7, pending: 3 }
  t.same(readAckSubject('$JS.ACK.CONV_0.c1.1.70.7.1700000000000000000.3'), expected)
  t.same(readAckSubject('$JS.ACK.hub.acc1.CONV_0.c1.1.70.7.1700000000000000000.3'), expected)
  t.same(readAckSubject('$JS.ACK.hub.acc1.CONV_0.c1.1.70.7.1700000000000000000.3.r4nd0m'), expected)
})

t.test('partitions equal NATS’ own partition()', async t => {
  const nats = await startNats(t, {
    streams: false,
    more: 'mappings: { "raw.*": "parted.{{partition(256,1)}}.{{wildcard(1)}}" }',
  })
  const { connection } = await nats.connect()
  const seen = new Map<string, number>()
  connection.subscribe('parted.*.*', {
    callback: (_error, msg) => {
      const [, bucket, id = ''] = msg.subject.split('.')
      seen.set(id, Number(bucket))
    },
  })
  const ids = fc.sample(fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/), { numRuns: 2_000, seed: 7 })
  for (const id of ids) connection.publish(`raw.${id}`)
  await connection.flush()
  await connection.flush()
  t.equal(seen.size, new Set(ids).size)
  for (const [id, bucket] of seen)
    if (partitionOf(id) !== bucket) t.fail(`${id}: ${bucket}, not ${partitionOf(id)}`)
  t.equal(streamOfPartition('conv', 17, 1), 'CONV_0')
})
