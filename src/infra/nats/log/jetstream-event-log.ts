import { type Msg, nuid, type PublishOptions } from '@nats-io/transport-node'
import { type Appended, ConflictError, type EventLog, type NewEvent } from '../../../commands/index.ts'
import {
  type AggregateRef,
  ConfabError,
  type Envelope,
  Header,
  isForeign,
  type StoredEvent,
  subjectOf,
} from '../../../events/index.ts'
import { type Nats, type PendingRequest, ReplyInbox, rawHeaders } from '../client/connection.ts'
import {
  isConflict,
  isDuplicateInBatch,
  isRefusal,
  type PublishAck,
  readAck,
  refusalError,
} from '../client/publish-ack.ts'
import { maxPayload } from '../embedded/server-process.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader, unavailable } from './log-reader.ts'

const maxEvents = 1_000
/** Batches in flight from this process. The server allows 50 for each stream, from all its clients. */
const maxBatchesInFlight = 8
/** Appends in one write to the socket. While more were collected, nats-server would be idle. */
const maxQueuedPublishes = 16
const readBatch = { batch: 500, max_bytes: 1024 * 1024 }

const expectation = (expected: number): string => `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n`

const token = /^[\x21-\x7e]{1,256}$/

const checked = (name: string, value: string): string => {
  if (token.test(value)) return value
  throw new TypeError(`header ${name} must be 1 to 256 printable ASCII characters`)
}

/**
 * Returns the header block of an event to append: the headers of `encodeEnvelope`, the message id, and the lines in
 * `more`. It is written out because headers are a tenth of an append's cost; a test compares it with `encodeEnvelope`.
 * Throws TypeError.
 */
export const headerBlock = (envelope: Envelope, more: string): string => {
  const { type, version, seq, n, actor, commandId, epoch, keyId, traceparent } = envelope
  const id = checked(Header.commandId, commandId)
  let block = `NATS/1.0\r\n${Header.type}: ${checked(Header.type, type)}\r\n${Header.version}: ${version}\r\n${Header.seq}: ${seq}\r\n${Header.n}: ${n}\r\n${Header.actor}: ${checked(Header.actor, actor)}\r\n${Header.commandId}: ${id}\r\n${Header.epoch}: ${epoch}\r\n`
  if (keyId !== undefined) block += `${Header.keyId}: ${checked(Header.keyId, keyId)}\r\n`
  if (traceparent !== undefined)
    block += `${Header.traceparent}: ${checked(Header.traceparent, traceparent)}\r\n`
  return `${block}Nats-Msg-Id: ${id}\r\n${more}\r\n`
}

/** Says whether this process may write a stream: with several regions, while it holds the lease of the stream. */
export interface WriteFence {
  mayWrite(stream: string): boolean
  /**
   * Called with the position of each event that this process stored, before it is acknowledged. Returns true when the
   * acknowledgement has to wait: `release` is called later, with false when it may not be given.
   */
  holds(stream: string, streamSeq: number, release: (mayAck: boolean) => void): boolean
}

const fenced = 'this process holds no lease of the stream'

/** One append that waits for its ack. */
class PendingAppend implements PendingRequest {
  deadline = 0
  readonly subject: string
  readonly #fence: WriteFence | undefined
  readonly #expected: number
  readonly #resolve: (appended: Appended) => void
  readonly #reject: (error: Error) => void

  constructor(
    subject: string,
    expected: number,
    fence: WriteFence | undefined,
    resolve: (appended: Appended) => void,
    reject: (error: Error) => void,
  ) {
    this.subject = subject
    this.#fence = fence
    this.#expected = expected
    this.#resolve = resolve
    this.#reject = reject
  }

  answer(msg: Msg): boolean {
    const ack = readAck(msg)
    if (!isRefusal(ack)) {
      const isHeld = this.#fence?.holds(ack.stream, ack.seq, mayAck => {
        if (mayAck) this.#acknowledge(ack)
        else this.#reject(unavailable('no mirror has the event yet'))
      })
      if (isHeld !== true) this.#acknowledge(ack)
    } else if (isConflict(ack)) this.#reject(new ConflictError(this.subject, this.#expected))
    else if (isDuplicateInBatch(ack)) this.#reject(new DuplicateInBatchError())
    else this.#reject(refusalError(ack))
    return true
  }

  fail(why: string): void {
    this.#reject(unavailable(why))
  }

  #acknowledge({ stream, seq, duplicate }: PublishAck): void {
    // Another region may be the home by now, without this event.
    if (this.#fence?.mayWrite(stream) === false) this.#reject(unavailable(fenced))
    else this.#resolve({ position: { stream, streamSeq: seq }, duplicate })
  }
}

export interface EventLogOptions {
  /** The longest silence before an append or a read fails, ms. Default: 3,000. */
  readonly timeoutMs?: number
  /** Default: this process may write all streams. */
  readonly fence?: WriteFence | undefined
}

/** Thrown when an id of a batch is in the duplicate window. The server appended nothing of the batch. */
class DuplicateInBatchError extends Error {}

/** A message that waits for the next write to the socket. */
interface QueuedPublish {
  readonly subject: string
  readonly data: Uint8Array
  readonly options: PublishOptions
}

/**
 * The event log on JetStream. Each aggregate has one literal subject; each append expects the subject's last sequence.
 */
export class JetStreamEventLog implements EventLog {
  readonly #nats: Nats
  readonly #layout: LogLayout
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader
  readonly #fence: WriteFence | undefined
  readonly #waitingBatches: (() => void)[] = []
  #batchesInFlight = 0
  #queued: QueuedPublish[] = []

  constructor(nats: Nats, layout: LogLayout, { timeoutMs = 3_000, fence }: EventLogOptions = {}) {
    this.#nats = nats
    this.#layout = layout
    this.#fence = fence
    this.#inbox = new ReplyInbox(nats, timeoutMs)
    this.#reader = new LogReader(nats, this.#inbox)
  }

  streamOf(aggregate: AggregateRef): string {
    return this.#layout.streamOf(aggregate)
  }

  append(aggregate: AggregateRef, expected: number, events: readonly NewEvent[]): Promise<Appended> {
    const [first] = events
    if (first === undefined || events.length > maxEvents)
      return Promise.reject(new TypeError(`1 to ${maxEvents} events can be appended, not ${events.length}`))
    return events.length === 1
      ? this.#appendOne(aggregate, expected, first)
      : this.#appendBatch(aggregate, expected, events)
  }

  #appendOne(aggregate: AggregateRef, expected: number, event: NewEvent): Promise<Appended> {
    const subject = subjectOf(aggregate)
    return new Promise((resolve, reject) => {
      const ingest = this.#ingestPrefix(aggregate) + subject
      const pending = new PendingAppend(subject, expected, this.#fence, resolve, reject)
      this.#publish(ingest, event.data, headerBlock(event.envelope, expectation(expected)), pending)
    })
  }

  async #appendBatch(
    aggregate: AggregateRef,
    expected: number,
    events: readonly NewEvent[],
  ): Promise<Appended> {
    const subject = subjectOf(aggregate)
    // Now, when the events have been decided: an event of an epoch that ends meanwhile has to reach no stream.
    const ingest = this.#ingestPrefix(aggregate) + subject
    await this.#enterBatch()
    try {
      return await new Promise<Appended>((resolve, reject) => {
        const batch = nuid.next()
        events.forEach(({ envelope, data }, index) => {
          // Only the first message of a subject may carry the expectation: the server derives those of the others.
          let more = `${index === 0 ? expectation(expected) : ''}Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${index + 1}\r\n`
          const isLast = index === events.length - 1
          if (isLast) more += 'Nats-Batch-Commit: 1\r\n'
          const pending = isLast
            ? new PendingAppend(subject, expected, this.#fence, resolve, reject)
            : undefined
          this.#publish(ingest, data, headerBlock(envelope, more), pending)
        })
      })
    } catch (error) {
      if (error instanceof DuplicateInBatchError)
        return await this.#findDuplicate(aggregate, expected, events)
      throw error
    } finally {
      this.#leaveBatch()
    }
  }

  /**
   * Finds a batch whose ids are in the duplicate window. Throws ConflictError when the log does not have the same batch
   * right after `expected`: the batch was decided on a state that is out of date.
   */
  async #findDuplicate(
    aggregate: AggregateRef,
    expected: number,
    events: readonly NewEvent[],
  ): Promise<Appended> {
    let found = 0
    for await (const stored of this.read(aggregate, expected))
      for (const { envelope, stream, streamSeq } of stored) {
        if (envelope.commandId !== events[found]?.envelope.commandId)
          throw new ConflictError(subjectOf(aggregate), expected)
        if (++found === events.length) return { position: { stream, streamSeq }, duplicate: true }
      }
    throw new ConflictError(subjectOf(aggregate), expected)
  }

  async #enterBatch(): Promise<void> {
    if (this.#batchesInFlight < maxBatchesInFlight) this.#batchesInFlight++
    else await new Promise<void>(resolve => this.#waitingBatches.push(resolve))
  }

  #leaveBatch(): void {
    const next = this.#waitingBatches.shift()
    if (next === undefined) this.#batchesInFlight--
    else next()
  }

  /** Throws ConfabError while this process may not write the stream of an aggregate. */
  #ingestPrefix(aggregate: AggregateRef): string {
    if (this.#fence?.mayWrite(this.#layout.streamOf(aggregate)) === false) throw unavailable(fenced)
    const prefix = this.#layout.ingestPrefixOf(aggregate)
    if (prefix === undefined) throw unavailable('the home of the stream is in another region, or is changing')
    return prefix
  }

  #publish(subject: string, data: Uint8Array, block: string, pending: PendingRequest | undefined): void {
    if (!this.#nats.connected()) throw unavailable('not connected')
    // Check the size before queuing the publish: nats.js reports a failed send later, when no caller is waiting.
    const most = Math.min(maxPayload, this.#nats.connection.info?.max_payload ?? maxPayload)
    if (data.length + block.length > most) throw new ConfabError('TOO_LARGE')
    const headers = rawHeaders(block)
    const options = pending === undefined ? { headers } : { headers, reply: this.#inbox.expect(pending) }
    const count = this.#queued.push({ subject, data, options })
    if (count === 1) setImmediate(this.#send)
    else if (count === maxQueuedPublishes) this.#send()
  }

  /** Publishes the appends of one turn of the event loop in one system call, so that nats-server wakes up once. */
  readonly #send = (): void => {
    const queued = this.#queued
    this.#queued = []
    // nats.js would keep them for the next connection. Their pending requests fail with `disconnected`.
    if (!this.#nats.connected()) return
    for (const { subject, data, options } of queued) this.#nats.connection.publish(subject, data, options)
  }

  last(aggregate: AggregateRef): Promise<StoredEvent | undefined> {
    return this.#reader.leader(this.#layout.streamOf(aggregate), { last_by_subj: subjectOf(aggregate) })
  }

  /** Reads every event that was acked before the call, from any replica. Skips messages that confab did not write. */
  async *read(aggregate: AggregateRef, after: number): AsyncIterable<readonly StoredEvent[]> {
    const stream = this.#layout.streamOf(aggregate)
    const next_by_subj = subjectOf(aggregate)
    const end = this.last(aggregate)
    end.catch(() => {})
    let position = after
    for (;;) {
      let events = await this.#reader.batch(stream, { seq: position + 1, next_by_subj, ...readBatch })
      if (events.length === 0) {
        const last = await end
        if (last === undefined || last.streamSeq <= position) return
        // The replica is behind the leader.
        const next = await this.#reader.leader(stream, { seq: position + 1, next_by_subj })
        if (next === undefined) return
        events = [next]
      }
      position = events.at(-1)?.streamSeq ?? position
      yield events.some(isForeign) ? events.filter(event => !isForeign(event)) : events
      // Without another request at the end. A subject with few events takes as many requests as one without events.
      if (position >= ((await end)?.streamSeq ?? 0)) return
    }
  }

  /** Number of appends and reads in progress. */
  get inFlight(): number {
    return this.#inbox.size
  }

  close(): void {
    this.#queued = []
    this.#inbox.close()
  }
}
