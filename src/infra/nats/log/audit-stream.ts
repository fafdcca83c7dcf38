import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager, type MsgRequest, type StoredMsg } from '@nats-io/jetstream'
import {
  type AuditEntry,
  AuditError,
  type AuditKey,
  type AuditLog,
  AuditProblem,
  type AuditRecord,
  type ChainHead,
  genesis,
  headAt,
  recordBytes,
  type StoredRecord,
  sealRecord,
} from '../../../audit/index.ts'
import { backoffMs } from '../../../base/backoff.ts'
import { Semaphore } from '../../../base/semaphore.ts'
import { auditSubject, operatorText } from '../../../events/index.ts'
import { type Nats, rawHeaders } from '../client/connection.ts'
import { ApiError, apiCodeOf, streamTaking } from '../client/jetstream-api.ts'
import { NatsError } from '../client/nats-error.ts'
import { isConflict, isRefusal, readAck, refusalError } from '../client/publish-ack.ts'

/** Timeout of each request, ms. */
const timeout = 2_000
/** Time after which an append fails, ms: an operator waits for it, and so does a start. */
const defaultAppendMs = 6_000
/** The same where there is no stream, ms: another server of a cluster may have created it a moment ago. */
const missingMs = 1_000
const conflictBackoff = { firstMs: 10, maxMs: 200 }
/** Records that are read in one request. */
const page = 250
/** Status of a direct get that found nothing. */
const noMessages = 404

/** The end of the stream. */
interface StreamEnd {
  /** Last sequence that the stream has given to a message, removed ones included. */
  readonly last: number
  /** Sequence of the last message that is there; 0 when all are removed. */
  readonly stored: number
  readonly head: ChainHead
}

/** A record whose append was not answered, so that it may be stored. */
interface Doubtful {
  readonly record: AuditRecord
  readonly streamSeq: number
}

export interface AuditStreamOptions {
  /** Signs records. */
  readonly key?: AuditKey | undefined
  /** Time after which an append fails, ms. Default: 6,000. */
  readonly appendMs?: number
}

/**
 * The chain of audit records in the stream that takes `audit.log`. Each append expects the last record, so that several
 * processes never continue the same one. Reads that decide go to the leader of the stream.
 */
export class AuditStream implements AuditLog {
  readonly #nats: Nats
  readonly #key: AuditKey | undefined
  readonly #appendMs: number
  /** Appends of this process do not compete with each other. */
  readonly #turn = new Semaphore(1)
  #stream: string | undefined

  constructor(nats: Nats, { key, appendMs = defaultAppendMs }: AuditStreamOptions = {}) {
    this.#nats = nats
    this.#key = key
    this.#appendMs = appendMs
  }

  append(entry: AuditEntry): Promise<AuditRecord> {
    const startedAt = performance.now()
    return this.#turn.run(() => this.#appendWithRetry(entry, startedAt))
  }

  /** Returns the last sequence of the stream. Rejects with AuditError. */
  async last(): Promise<number> {
    try {
      return (await this.#end()).last
    } catch (error) {
      throw unavailable('read', error)
    }
  }

  /** Yields the messages from a sequence to another one, in pages. Rejects with AuditError. */
  async *read(from: number, last: number): AsyncIterable<readonly StoredRecord[]> {
    for (let next = from; next <= last; ) {
      const records = await this.#page(next)
      // A replica that is behind the leader answers, too.
      if (records.length === 0) records.push(...(await this.#nextAtLeader(next)))
      if (records.length === 0) return
      yield records.filter(({ streamSeq }) => streamSeq <= last)
      next = (records.at(-1)?.streamSeq ?? last) + 1
    }
  }

  async #appendWithRetry(entry: AuditEntry, startedAt: number): Promise<AuditRecord> {
    // While the stream is away, records that wait for their turn must not delay later ones by their own timeouts.
    if (performance.now() > startedAt + this.#appendMs)
      throw unavailable('written', 'earlier records take too long')
    const doubtful: Doubtful[] = []
    for (let failures = 1; ; failures++) {
      let failure: unknown = 'other processes append at the same time'
      try {
        const end = await this.#end()
        for (const one of doubtful) if (await this.#holds(one)) return one.record
        const record = sealRecord(entry, end.head, this.#key)
        doubtful.push({ record, streamSeq: end.last + 1 })
        if (await this.#publish(record, end)) return record
        doubtful.pop()
      } catch (error) {
        failure = error
      }
      const waitMs = backoffMs(failures, conflictBackoff)
      const longestMs = NatsError.is(failure) ? Math.min(missingMs, this.#appendMs) : this.#appendMs
      if (performance.now() + waitMs > startedAt + longestMs) throw unavailable('written', failure)
      await sleep(waitMs)
    }
  }

  /** Resolves with false when another record was appended since the end was read. */
  async #publish(record: AuditRecord, { last, stored }: StreamEnd): Promise<boolean> {
    // The sequence of the stream also counts removed records. That of the subject is checked against appends under way.
    const headers = rawHeaders(
      `NATS/1.0\r\nNats-Expected-Last-Sequence: ${last}\r\nNats-Expected-Last-Subject-Sequence: ${stored}\r\n\r\n`,
    )
    const ack = readAck(
      await this.#nats.connection.request(auditSubject, recordBytes(record), { timeout, headers }),
    )
    if (!isRefusal(ack)) return true
    if (isConflict(ack)) return false
    throw refusalError(ack)
  }

  async #holds({ record, streamSeq }: Doubtful): Promise<boolean> {
    const stored = await this.#message(streamSeq)
    return stored !== undefined && recordBytes(record).equals(stored)
  }

  async #end(): Promise<StreamEnd> {
    const manager = await this.#manager()
    const { state } = await manager.streams.info(await this.#streamName())
    const last = state.last_seq
    if (last === 0) return { last, stored: 0, head: genesis }
    const data = await this.#message(last)
    if (data !== undefined) return { last, stored: last, head: headAt(last, data) }
    // The last record was removed: the chain starts again, and a verification finds the gap.
    const left = await this.#atLeader({ last_by_subj: auditSubject })
    return { last, stored: left?.seq ?? 0, head: { ...genesis, seq: last } }
  }

  /** Reads a message from the leader. */
  async #message(seq: number): Promise<Uint8Array | undefined> {
    return (await this.#atLeader({ seq }))?.data
  }

  async #nextAtLeader(seq: number): Promise<StoredRecord[]> {
    try {
      const found = await this.#atLeader({ seq, next_by_subj: auditSubject } as MsgRequest)
      return found === undefined ? [] : [{ streamSeq: found.seq, data: found.data }]
    } catch (error) {
      throw unavailable('read', error)
    }
  }

  async #atLeader(query: MsgRequest): Promise<StoredMsg | undefined> {
    try {
      const manager = await this.#manager()
      return (await manager.streams.getMessage(await this.#streamName(), query)) ?? undefined
    } catch (error) {
      if (apiCodeOf(error) === ApiError.noMessageFound) return undefined
      throw error
    }
  }

  async #page(seq: number): Promise<StoredRecord[]> {
    const records: StoredRecord[] = []
    try {
      const manager = await this.#manager()
      // A stream that was created again may answer twice for a moment.
      for await (const { seq: streamSeq, data } of await manager.direct.getBatch(await this.#streamName(), {
        seq,
        batch: page,
      }))
        if (streamSeq > (records.at(-1)?.streamSeq ?? seq - 1)) records.push({ streamSeq, data })
    } catch (error) {
      if ((error as { code?: unknown }).code !== noMessages) throw unavailable('read', error)
    }
    return records
  }

  async #streamName(): Promise<string> {
    this.#stream ??= await streamTaking(await this.#manager(), auditSubject)
    return this.#stream
  }

  async #manager(): ReturnType<typeof jetstreamManager> {
    if (!this.#nats.connected()) throw new Error('NATS is not connected')
    return await jetstreamManager(this.#nats.connection, { checkAPI: false, timeout })
  }
}

const unavailable = (how: 'read' | 'written', error: unknown): AuditError =>
  AuditError.is(error)
    ? error
    : new AuditError(
        AuditProblem.unavailable,
        `the audit stream cannot be ${how}: ${typeof error === 'string' ? error : operatorText(error)}`,
        error,
      )
