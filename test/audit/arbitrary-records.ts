import fc from 'fast-check'
import {
  type AuditEntry,
  type AuditKey,
  type AuditRecord,
  type ChainHead,
  genesis,
  recordBytes,
  type StoredRecord,
  sealRecord,
} from '../../src/audit/index.ts'

/** Any well-formed text, also with quotes, control characters and characters of all planes. */
const text = fc.string({ unit: 'binary', maxLength: 20 }).map(value => value.toWellFormed())
const facts = fc.dictionary(
  text,
  fc.jsonValue({ maxDepth: 2 }).map(value => JSON.parse(JSON.stringify(value))),
  {
    maxKeys: 4,
  },
)

export const entries: fc.Arbitrary<AuditEntry> = fc.record(
  {
    at: fc
      .date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
      .map(date => date.toISOString()),
    actor: text,
    role: text,
    osUser: text,
    process: text,
    action: text,
    target: text,
    params: facts,
    outcome: fc.constantFrom('started', 'done', 'refused', 'failed'),
    code: text,
    result: facts,
    request: text,
  },
  { requiredKeys: ['at', 'actor', 'process', 'action', 'outcome', 'request'] },
)

/** Returns the records of a chain with these entries. */
export const chainOf = (
  all: readonly AuditEntry[],
  key?: AuditKey,
  head: ChainHead = genesis,
): readonly AuditRecord[] => {
  let last = head
  return all.map(entry => {
    const record = sealRecord(entry, last, key)
    last = record
    return record
  })
}

/** Returns records as they are stored, from a sequence on. */
export const storedOf = (records: readonly AuditRecord[], first = 1): StoredRecord[] =>
  records.map((record, index) => ({ streamSeq: first + index, data: recordBytes(record) }))
