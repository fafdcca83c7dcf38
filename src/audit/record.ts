import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { canonicalJson, OneOf, Seq, Time } from '../events/index.ts'

const Hash = Type.String({ pattern: '^[0-9a-f]{64}$' })
const Facts = Type.Record(Type.String(), Type.Unknown())

/**
 * A record of the audit stream. Records of later versions may have further fields: hash and signature cover every
 * field, and readers pass fields, actions, targets and roles that they do not know.
 */
export const AuditRecord = Type.Object({
  v: Type.Integer({ minimum: 1 }),
  /** Number of the record, from 1 without gaps. */
  seq: Seq,
  /** By the clock of the process that recorded it. */
  at: Time,
  /** The acting user or process, as `kind:name`: `operator:olga`, `os:root`, `token:olga`, `process:…`, `unknown`. */
  actor: Type.String(),
  /** Role in the token of the actor. */
  role: Type.Optional(Type.String()),
  /** User of the operating system that ran the command. */
  osUser: Type.Optional(Type.String()),
  /** The process that recorded it: `host/pid`. */
  process: Type.String(),
  action: Type.String(),
  /** The object of the action, as `kind:id`: `user:alice`, `projection:search`. */
  target: Type.Optional(Type.String()),
  /** Flags and arguments of the request, without secrets and texts of messages. */
  params: Type.Optional(Facts),
  /** `started`: the action has a further record when it ends. `refused`: the actor was not allowed to act. */
  outcome: OneOf('started', 'done', 'refused', 'failed'),
  /** Code of the error of an action that failed or was refused. */
  code: Type.Optional(Type.String()),
  /** Facts about the outcome. */
  result: Type.Optional(Facts),
  /** Id of the request: the same in all records of one action. */
  request: Type.String(),
  /** Hash of the record before. */
  prev: Hash,
  /** Id of the key of `mac`. */
  key: Type.Optional(Type.String()),
  /** HMAC-SHA256 of all fields but `mac` and `hash`. */
  mac: Type.Optional(Hash),
  /** SHA-256 of all fields but `hash`. */
  hash: Hash,
})
export type AuditRecord = Static<typeof AuditRecord>

/** The content of a record, before it has a place in the chain. */
export type AuditEntry = Omit<AuditRecord, 'v' | 'seq' | 'prev' | 'key' | 'mac' | 'hash'>

/** The last record of a chain. Operators keep it elsewhere as an anchor, which a rewritten chain cannot have. */
export interface ChainHead {
  readonly seq: number
  readonly hash: string
}

/** The head of a chain without records. */
export const genesis: ChainHead = { seq: 0, hash: '0'.repeat(64) }

const version = 1
const recordCheck = TypeCompiler.Compile(AuditRecord)

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** A key that signs records, so that write access to the stream alone cannot make another valid chain. */
export interface AuditKey {
  readonly id: string
  readonly secret: string
}

const keyIdChars = 12

export const auditKeyOf = (secret: string): AuditKey => ({
  id: createHmac('sha256', secret).update('id of an audit key').digest('hex').slice(0, keyIdChars),
  secret,
})

/** Returns the hash that a record should have. */
export const hashOf = ({ hash: _, ...hashed }: AuditRecord): string => sha256(canonicalJson(hashed))

const macOf = (signed: object, { secret }: AuditKey): string =>
  createHmac('sha256', secret)
    .update(canonicalJson(signed as Record<string, unknown>))
    .digest('hex')

/** Whether a record has the signature of a key. */
export const isSignedBy = ({ hash: _, mac, ...signed }: AuditRecord, key: AuditKey): boolean =>
  mac !== undefined &&
  signed.key === key.id &&
  timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(signed, key)))

/** Returns an entry as the record that follows the head of a chain, signed if there is a key. */
export const sealRecord = (entry: AuditEntry, head: ChainHead, key?: AuditKey): AuditRecord => {
  const linked = { ...entry, v: version, seq: head.seq + 1, prev: head.hash }
  const keyed = key === undefined ? linked : { ...linked, key: key.id }
  const signed = key === undefined ? keyed : { ...keyed, mac: macOf(keyed, key) }
  return { ...signed, hash: sha256(canonicalJson(signed)) }
}

/** The canonical form of a record, as it is stored: JSON with sorted keys and no spaces, in UTF-8. */
export const recordBytes = (record: AuditRecord): Buffer => Buffer.from(canonicalJson(record))

/** Returns the record in a stored message; undefined when the message is not one. */
export const parseRecord = (data: Uint8Array): AuditRecord | undefined => {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data))
    return recordCheck.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Returns what the next record continues: also a message that is not a record has a number and a hash. */
export const headAt = (streamSeq: number, data: Uint8Array): ChainHead => {
  const record = parseRecord(data)
  return record === undefined
    ? { seq: streamSeq, hash: sha256(data) }
    : { seq: record.seq, hash: record.hash }
}
