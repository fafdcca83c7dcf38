import fc from 'fast-check'
import t from 'tap'
import { decodeEnvelope, type Envelope, encodeEnvelope } from '../../src/events/index.ts'

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const envelope: fc.Arbitrary<Envelope> = fc
  .record(
    {
      type: fc.constantFrom('message.posted', 'member.left', 'read.marked'),
      version: fc.integer({ min: 1, max: 99 }),
      seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      n: fc.nat(),
      actor: id,
      commandId: fc.stringMatching(/^[A-Za-z0-9_.-]{1,200}$/),
      epoch: fc.integer({ min: 1, max: 1000 }),
      keyId: id,
      traceparent: fc.constant('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
    },
    { requiredKeys: ['type', 'version', 'seq', 'n', 'actor', 'commandId', 'epoch'] },
  )
  .map(record => ({ ...record }))

const lookUp = (headers: [string, string][]) => {
  const table = new Map(headers)
  return (name: string) => table.get(name)
}

t.test('an envelope survives its headers', async t => {
  fc.assert(
    fc.property(envelope, value => {
      t.same(decodeEnvelope(lookUp(encodeEnvelope(value))), value)
    }),
    { numRuns: 100 },
  )
})

t.test('a value cannot break out of its header', async t => {
  const good: Envelope = { type: 'x.y', version: 1, seq: 1, n: 0, actor: 'a', commandId: 'c', epoch: 1 }
  for (const bad of ['a\r\nNats-Rollup: all', '', 'a b', 'ü', 'x'.repeat(257)])
    t.throws(() => encodeEnvelope({ ...good, actor: bad }), TypeError, JSON.stringify(bad))
})

t.test('messages that are not confab’s have no envelope', async t => {
  const full = encodeEnvelope({ type: 'x.y', version: 1, seq: 1, n: 0, actor: 'a', commandId: 'c', epoch: 1 })
  t.equal(
    decodeEnvelope(() => undefined),
    undefined,
  )
  t.equal(
    decodeEnvelope(() => ''),
    undefined,
  )
  for (const [missing] of full)
    t.equal(decodeEnvelope(lookUp(full.filter(([name]) => name !== missing))), undefined, missing)
  t.equal(
    decodeEnvelope(lookUp(full.map(([name, value]) => [name, name === 'Confab-Seq' ? 'x' : value]))),
    undefined,
  )
})
