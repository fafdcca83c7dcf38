import fc from 'fast-check'
import t from 'tap'
import {
  type AuditEntry,
  auditKeyOf,
  type ChainVerdict,
  ChainVerifier,
  genesis,
  parseRecord,
  recordBytes,
  type StoredRecord,
  sealRecord,
  type VerifyOptions,
} from '../../src/audit/index.ts'
import { chainOf, entries, storedOf } from './arbitrary-records.ts'

const verdictOf = (stored: readonly StoredRecord[], options?: VerifyOptions, last?: number): ChainVerdict => {
  const verifier = new ChainVerifier(options)
  for (const one of stored) verifier.take(one)
  return verifier.end(last)
}

const renumbered = (stored: readonly StoredRecord[]): StoredRecord[] =>
  stored.map(({ data }, index) => ({ streamSeq: index + 1, data }))

const kindsOf = ({ breaks }: ChainVerdict): string[] => breaks.map(({ kind, seq }) => `${kind} ${seq}`)

const lists = fc.array(entries, { minLength: 3, maxLength: 12 })
const key = auditKeyOf('a key that signs audit records')

t.test('any chain of records is intact, with a key and without, and gives its anchor', async t => {
  fc.assert(
    fc.property(lists, fc.nat(), fc.boolean(), (all, which, isSigned) => {
      const records = chainOf(all, isSigned ? key : undefined)
      const head = records.at(-1)!
      const anchor = records[which % records.length]!
      const found = verdictOf(storedOf(records), {
        anchor: { seq: anchor.seq, hash: anchor.hash },
        keys: isSigned ? [key] : [],
      })
      return (
        found.broken === 0 &&
        found.records === records.length &&
        found.head?.seq === all.length &&
        found.head.hash === head.hash &&
        found.signed === (isSigned ? records.length : 0)
      )
    }),
  )
  t.same(verdictOf([]), { records: 0, signed: 0, head: undefined, breaks: [], broken: 0 })
})

t.test('a record is read as it was written', async t => {
  fc.assert(
    fc.property(entries, entry => {
      const record = sealRecord(entry, genesis, key)
      t.same(parseRecord(recordBytes(record)), JSON.parse(JSON.stringify(record)))
    }),
  )
})

t.test('any changed bit of any record is found, at the record', async () => {
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat(), fc.boolean(), (all, which, where, isSigned) => {
      const stored = storedOf(chainOf(all, isSigned ? key : undefined))
      const index = which % stored.length
      const data = Buffer.from(stored[index]!.data)
      const bit = where % (data.length * 8)
      data[bit >> 3] = data[bit >> 3]! ^ (1 << (bit & 7))
      stored[index] = { streamSeq: index + 1, data }
      const { breaks } = verdictOf(stored)
      // A changed number looks as if the record was at another place: then its own place is missing.
      return breaks.some(({ seq, upTo = seq }) => seq <= index + 1 && upTo >= index + 1)
    }),
    { numRuns: 500 },
  )
})

t.test('a removed record is found, in the stream and in a copy of it', async t => {
  fc.assert(
    fc.property(lists, fc.nat(), (all, which) => {
      const stored = storedOf(chainOf(all))
      const index = which % stored.length
      const rest = stored.toSpliced(index, 1)
      t.same(kindsOf(verdictOf(rest, {}, all.length)), [`missing ${index + 1}`])
      if (index < all.length - 1) t.same(kindsOf(verdictOf(renumbered(rest))), [`missing ${index + 1}`])
      // The end of a copy is found with an anchor only.
      else {
        const { seq, hash } = chainOf(all).at(-1)!
        t.same(kindsOf(verdictOf(renumbered(rest))), [])
        t.same(kindsOf(verdictOf(renumbered(rest), { anchor: { seq, hash } })), [`anchor ${seq}`])
      }
    }),
  )
})

t.test('a moved record is found, and named once', async t => {
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat(), (all, from, to) => {
      const stored = storedOf(chainOf(all))
      const source = from % (stored.length - 1)
      const target = source + 1 + (to % (stored.length - 1 - source))
      const moved = stored.toSpliced(source, 1)
      moved.splice(target, 0, stored[source]!)
      t.same(kindsOf(verdictOf(renumbered(moved))), [`moved ${source + 1}`])
    }),
  )
})

t.test('a repeated record is found', async t => {
  fc.assert(
    fc.property(lists, fc.nat(), (all, which) => {
      const stored = storedOf(chainOf(all))
      const index = which % stored.length
      const again = renumbered([...stored, stored[index]!])
      t.same(kindsOf(verdictOf(again)), [`moved ${index + 1}`])
    }),
  )
})

t.test('a record that was replaced by another one with a right hash is found', async t => {
  fc.assert(
    fc.property(lists, entries, fc.nat(), (all, other, which) => {
      const records = chainOf(all)
      const index = which % (records.length - 1)
      const forged = sealRecord(other, index === 0 ? genesis : records[index - 1]!)
      if (forged.hash === records[index]!.hash) return
      t.same(kindsOf(verdictOf(storedOf(records.toSpliced(index, 1, forged)))), [`replaced ${index + 2}`])
    }),
  )
})

t.test('a chain that was rewritten from a record on is found with a key, and with an anchor', async t => {
  fc.assert(
    fc.property(lists, lists, fc.nat(), (all, others, which) => {
      const records = chainOf(all, key)
      const index = which % records.length
      const before = records.slice(0, index)
      const rewritten = [...before, ...chainOf(others, undefined, before.at(-1) ?? genesis)]
      t.same(kindsOf(verdictOf(storedOf(rewritten))), [], 'hashes alone do not show it')
      const withKey = verdictOf(storedOf(rewritten), { keys: [key] })
      if (index === 0) t.same(kindsOf(withKey), ['unsigned 1'])
      else t.same(kindsOf(withKey)[0], `unsigned ${index + 1}`)
      const foreignKey = auditKeyOf('the key of an attacker')
      const signed = [...before, ...chainOf(others, foreignKey, before.at(-1) ?? genesis)]
      t.match(kindsOf(verdictOf(storedOf(signed), { keys: [key] })).join(), `forged ${index + 1}`)
      const { seq, hash } = records.at(-1)!
      t.match(kindsOf(verdictOf(storedOf(rewritten), { anchor: { seq, hash } })), [`anchor ${seq}`])
    }),
  )
})

const entry: AuditEntry = {
  at: '2026-01-31T12:00:00.000Z',
  actor: 'os:root',
  process: 'one/1',
  action: 'process.start',
  outcome: 'done',
  request: 'r',
}

t.test('records before the first key and of an earlier key are accepted', async t => {
  const previous = auditKeyOf('the key of last year')
  const unsigned = chainOf([entry, entry])
  const older = chainOf([entry, entry], previous, unsigned.at(-1))
  const records = [...unsigned, ...older, ...chainOf([entry], key, older.at(-1))]
  t.match(verdictOf(storedOf(records), { keys: [key, previous] }), { broken: 0, signed: 3, records: 5 })
  t.same(kindsOf(verdictOf(storedOf(records), { keys: [key] })), ['forged 3', 'forged 4'])
  t.match(verdictOf(storedOf(records)), { broken: 0, signed: 0 })
})

t.test('messages that are no records are named, and the chain continues behind them', async t => {
  const [first] = chainOf([entry])
  const junk = Buffer.from('{"seq":2}')
  const stored = [...storedOf([first!]), { streamSeq: 2, data: junk }]
  const { head } = verdictOf(stored)
  t.match(head, { seq: 2 })
  const next = chainOf([entry, entry], undefined, head)
  t.same(kindsOf(verdictOf([...stored, ...storedOf(next, 3)])), ['foreign 2'])
  const inserted = chainOf([entry, entry, entry])
  const copy = renumbered([
    ...storedOf(inserted.slice(0, 1)),
    { streamSeq: 2, data: junk },
    ...storedOf(inserted.slice(1)),
  ])
  t.same(kindsOf(verdictOf(copy)), ['foreign 2'], 'inserted into a copy')
  const spaced = Buffer.from(` ${recordBytes(first!)}`)
  t.same(kindsOf(verdictOf([{ streamSeq: 1, data: spaced }])), ['changed 1'], 'not in canonical form')
  t.match(kindsOf(verdictOf(storedOf(chainOf([entry, entry]).slice(1), 2))), ['missing 1'])
  t.same(kindsOf(verdictOf([], {}, 3)), ['missing 1'], 'a purged stream')
  t.same(kindsOf(verdictOf(storedOf(chainOf([entry], undefined, { seq: 0, hash: '1'.repeat(64) })))), [
    'replaced 1',
  ])
})

t.test('records of a later version are verified: they have further fields, actions and actors', async t => {
  const later = { ...entry, action: 'region.promote', step: { no: 4, of: 'CONV_0' }, receipt: 'eyJ…' }
  const stored = storedOf(chainOf([later, later]))
  t.match(verdictOf(stored), { broken: 0, records: 2 })
  const text = Buffer.from(stored[0]!.data).toString().replace('"no":4', '"no":5')
  t.same(
    kindsOf(verdictOf([{ streamSeq: 1, data: Buffer.from(text) }, stored[1]!])),
    ['changed 1'],
    'the hash covers fields that this version does not know',
  )
})

t.test('many breaks take bounded memory', async t => {
  const verifier = new ChainVerifier()
  for (let seq = 1; seq <= 1_000; seq++) verifier.take({ streamSeq: seq, data: Buffer.from('junk') })
  const { breaks, broken } = verifier.end()
  t.equal(broken, 1_000)
  t.equal(breaks.length, 100)
})
