import {
  type AuditKey,
  type AuditRecord,
  type ChainHead,
  genesis,
  hashOf,
  headAt,
  isSignedBy,
  parseRecord,
  recordBytes,
} from './record.ts'

/** A message of the audit stream as it is stored. */
export interface StoredRecord {
  readonly streamSeq: number
  readonly data: Uint8Array
}

/**
 * `changed`: the content does not match the hash. `missing`: records are not there. `moved`: a record is at another
 * place. `replaced`: a record does not continue the one before. `foreign`: a message that is no record. `unsigned`: no
 * signature after a signed record. `forged`: no signature of a known key. `anchor`: the chain does not contain the
 * anchor.
 */
export type BreakKind =
  | 'changed'
  | 'missing'
  | 'moved'
  | 'replaced'
  | 'foreign'
  | 'unsigned'
  | 'forged'
  | 'anchor'

/** A place at which the chain is broken. */
export interface ChainBreak {
  readonly kind: BreakKind
  /** Number of the first record concerned. */
  readonly seq: number
  /** Number of the last record concerned, where several are missing. */
  readonly upTo?: number
  readonly detail: string
}

export interface ChainVerdict {
  /** Number of messages. */
  readonly records: number
  readonly signed: number
  /** The last record; undefined without records. */
  readonly head: ChainHead | undefined
  /** In order of their place; at most 100. */
  readonly breaks: readonly ChainBreak[]
  /** Number of breaks. */
  readonly broken: number
}

export interface VerifyOptions {
  /** Keys that signed the records, the current one first. Without keys, signatures are not checked. */
  readonly keys?: readonly AuditKey[]
  /** A head of the chain from an earlier time. */
  readonly anchor?: ChainHead | undefined
}

const maxBreaks = 100

/** Checks the records of a chain in order, in constant memory. After a break it continues with the next record. */
export class ChainVerifier {
  readonly #keys: readonly AuditKey[]
  readonly #anchor: ChainHead | undefined
  readonly #breaks: ChainBreak[] = []
  #broken = 0
  #records = 0
  #signed = 0
  #nextStreamSeq = 1
  /** The record that the next one has to continue. */
  #head = genesis
  /** The last record before messages that are no records: a copy may continue it. */
  #beforeForeign: ChainHead | undefined
  #isAnchorSeen = false

  constructor({ keys = [], anchor }: VerifyOptions = {}) {
    this.#keys = keys
    this.#anchor = anchor
  }

  /** Takes the next message of the stream. */
  take({ streamSeq, data }: StoredRecord): void {
    this.#records++
    const lost = streamSeq - this.#nextStreamSeq
    this.#nextStreamSeq = streamSeq + 1
    const record = parseRecord(data)
    if (record === undefined) {
      const seq = this.#head.seq + lost + 1
      if (lost > 0) this.#missing(this.#head.seq + 1, seq - 1)
      this.#report('foreign', seq, 'the message is not an audit record')
      this.#beforeForeign ??= this.#head
      this.#head = { seq, hash: headAt(streamSeq, data).hash }
      return
    }
    this.#checkContent(record, data)
    this.#checkSignature(record)
    this.#checkAnchor(record)
    this.#checkPlace(record, lost)
  }

  /** Returns the result. `last`: the last sequence that the stream has given to a message. */
  end(last = this.#nextStreamSeq - 1): ChainVerdict {
    const lost = last - this.#nextStreamSeq + 1
    if (lost > 0) this.#missing(this.#head.seq + 1, this.#head.seq + lost)
    if (this.#keys.length > 0 && this.#records > 0 && this.#signed === 0)
      this.#report('unsigned', 1, 'no record has a signature of the given key')
    if (this.#anchor !== undefined && !this.#isAnchorSeen)
      this.#report('anchor', this.#anchor.seq, `the chain has no record ${this.#anchor.seq}`)
    return {
      records: this.#records,
      signed: this.#signed,
      head: this.#records === 0 ? undefined : this.#head,
      breaks: this.#breaks.toSorted((one, other) => one.seq - other.seq),
      broken: this.#broken,
    }
  }

  #report(kind: BreakKind, seq: number, detail: string, upTo?: number): void {
    this.#broken++
    if (this.#breaks.length < maxBreaks)
      this.#breaks.push({ kind, seq, ...(upTo === undefined ? {} : { upTo }), detail })
  }

  #missing(seq: number, upTo: number): void {
    const records = upTo > seq ? `records ${seq} to ${upTo} are` : `record ${seq} is`
    this.#report('missing', seq, `${records} missing`, upTo)
  }

  #checkContent(record: AuditRecord, data: Uint8Array): void {
    if (hashOf(record) !== record.hash)
      this.#report('changed', record.seq, 'the content does not match its hash')
    else if (!recordBytes(record).equals(data))
      this.#report('changed', record.seq, 'the message is not in canonical form')
  }

  #checkSignature(record: AuditRecord): void {
    if (this.#keys.length === 0) return
    if (this.#keys.some(key => isSignedBy(record, key))) this.#signed++
    else if (record.mac !== undefined)
      this.#report('forged', record.seq, 'the signature matches none of the given keys')
    else if (this.#signed > 0)
      this.#report('unsigned', record.seq, 'the record has no signature, and earlier ones have')
  }

  #checkAnchor({ seq, hash }: AuditRecord): void {
    if (seq !== this.#anchor?.seq || this.#isAnchorSeen) return
    this.#isAnchorSeen = true
    if (hash !== this.#anchor.hash) this.#report('anchor', seq, 'the record has another hash than the anchor')
  }

  /** `lost`: the number of messages that the stream lacks before this one. */
  #checkPlace(record: AuditRecord, lost: number): void {
    const { seq, hash, prev } = record
    const before = this.#beforeForeign
    this.#beforeForeign = undefined
    if (before !== undefined && seq === before.seq + 1 && prev === before.hash) this.#head = before
    const expected = this.#head.seq + 1
    if (seq < expected) {
      const where = `behind record ${this.#head.seq}`
      this.#report('moved', seq, `record ${seq} is ${this.#found(seq) ? '' : 'stored again '}${where}`)
      return
    }
    if (seq > expected) this.#missing(expected, seq - 1)
    else if (lost > 0) this.#report('missing', seq, `the stream lacks ${lost} messages before record ${seq}`)
    else if (prev !== this.#head.hash)
      this.#report(
        'replaced',
        seq,
        seq === 1
          ? 'the first record continues another chain'
          : `record ${seq} does not continue record ${seq - 1}: one of them was replaced`,
      )
    this.#head = { seq, hash }
  }

  /** Takes a record that is at another place out of the missing ones. Returns whether it was one of them. */
  #found(seq: number): boolean {
    const index = this.#breaks.findIndex(
      one => one.kind === 'missing' && one.upTo !== undefined && one.seq <= seq && seq <= one.upTo,
    )
    const range = this.#breaks[index]
    if (range === undefined) return false
    this.#breaks.splice(index, 1)
    this.#broken--
    if (range.seq < seq) this.#missing(range.seq, seq - 1)
    if (seq < (range.upTo ?? seq)) this.#missing(seq + 1, range.upTo ?? seq)
    return true
  }
}
