import { type Msg, nuid, type PublishOptions } from '@nats-io/transport-node'
import { type Appended, ConflictError, type EventLog, type NewEvent } from '../../../commands/index.ts'
import { type AggregateRef, ConfabError, type StoredEvent, subjectOf } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { isConflict, isDuplicateInBatch, isRefusal, readAck, refusalError } from '../client/publish-ack.ts'
import { headerBlock, rawHeaders } from '../client/raw-message.ts'
import { ReplyInbox, type Waiting } from '../client/reply-inbox.ts'
import { maxPayload } from '../embedded/server-process.ts'
import type { LogLayout } from './log-layout.ts'
import { LogReader, unavailable } from './log-reader.ts'
import { isForeign } from './stored-message.ts'

const maxEvents = 1_000
/** The server allows 50 batches in flight a stream, of all its clients. */
const maxBatchesInFlight = 8
/** Appends that go out together. With more of them nats-server would have nothing to do meanwhile. */
const sentAtOnce = 16
const readBatch = { batch: 500, max_bytes: 1024 * 1024 }

const expectation = (expected: number): string => `Nats-Expected-Last-Subject-Sequence: ${expected}\r\n`

/** One append that waits for its ack. */
class AppendWaiting implements Waiting {
  deadline = 0
  readonly #subject: string
  readonly #expected: number
  readonly #resolve: (appended: Appended) => void
  readonly #reject: (error: Error) => void

  constructor(
    subject: string,
    expected: number,
    resolve: (appended: Appended) => void,
    reject: (error: Error) => void,
  ) {
    this.#subject = subject
    this.#expected = expected
    this.#resolve = resolve
    this.#reject = reject
  }

  answer(msg: Msg): boolean {
    const ack = readAck(msg)
    if (!isRefusal(ack))
      this.#resolve({ position: { stream: ack.stream, streamSeq: ack.seq }, duplicate: ack.duplicate })
    else if (isConflict(ack)) this.#reject(new ConflictError(this.#subject, this.#expected))
    else if (isDuplicateInBatch(ack)) this.#reject(new SeenBefore())
    else this.#reject(refusalError(ack))
    return true
  }

  fail(why: string): void {
    this.#reject(unavailable(why))
  }
}

/** Some id of a batch is in the duplicate window: nothing of it was appended now. */
class SeenBefore extends Error {}

/** A message that is to be published. */
interface Outgoing {
  readonly subject: string
  readonly data: Uint8Array
  readonly options: PublishOptions
}

/** The event log on JetStream: one literal subject an aggregate, each append guarded by the subject's last sequence. */
export class JetStreamEventLog implements EventLog {
  readonly #nats: Nats
  readonly #layout: LogLayout
  readonly #inbox: ReplyInbox
  readonly #reader: LogReader
  readonly #waitingBatches: (() => void)[] = []
  #batchesInFlight = 0
  #outgoing: Outgoing[] = []

  /** `timeoutMs`: how long an append or a read may go unanswered. Default 3,000. */
  constructor(nats: Nats, layout: LogLayout, { timeoutMs = 3_000 }: { timeoutMs?: number } = {}) {
    this.#nats = nats
    this.#layout = layout
    this.#inbox = new ReplyInbox(nats, timeoutMs)
    this.#reader = new LogReader(nats, this.#inbox)
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
      const waiting = new AppendWaiting(subject, expected, resolve, reject)
      this.#publish(subject, event.data, headerBlock(event.envelope, expectation(expected)), waiting)
    })
  }

  async #appendBatch(
    aggregate: AggregateRef,
    expected: number,
    events: readonly NewEvent[],
  ): Promise<Appended> {
    const subject = subjectOf(aggregate)
    await this.#enterBatch()
    try {
      return await new Promise<Appended>((resolve, reject) => {
        const batch = nuid.next()
        events.forEach(({ envelope, data }, index) => {
          // Only the first message of a subject may carry the expectation: the server tells the others' by itself.
          let more = `${index === 0 ? expectation(expected) : ''}Nats-Batch-Id: ${batch}\r\nNats-Batch-Sequence: ${index + 1}\r\n`
          const isLast = index === events.length - 1
          if (isLast) more += 'Nats-Batch-Commit: 1\r\n'
          const waiting = isLast ? new AppendWaiting(subject, expected, resolve, reject) : undefined
          this.#publish(subject, data, headerBlock(envelope, more), waiting)
        })
      })
    } catch (error) {
      if (error instanceof SeenBefore) return await this.#findDuplicate(aggregate, expected, events)
      throw error
    } finally {
      this.#leaveBatch()
    }
  }

  /** The ids of a batch were seen before: either the very batch stands after `expected`, or it was decided on a state that is gone. */
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

  #publish(subject: string, data: Uint8Array, block: string, waiting: Waiting | undefined): void {
    if (!this.#nats.connected()) throw unavailable('not connected')
    // Here, where whoever appends is told: what is refused once it is on its way out has nobody to hear of it.
    const most = Math.min(maxPayload, this.#nats.connection.info?.max_payload ?? maxPayload)
    if (data.length + block.length > most) throw new ConfabError('TOO_LARGE')
    const headers = rawHeaders(block)
    const options = waiting === undefined ? { headers } : { headers, reply: this.#inbox.expect(waiting) }
    const waits = this.#outgoing.push({ subject, data, options })
    if (waits === 1) setImmediate(this.#send)
    else if (waits === sentAtOnce) this.#send()
  }

  /** What was appended in a turn of the loop: one system call, and nats-server is woken once. */
  readonly #send = (): void => {
    const outgoing = this.#outgoing
    this.#outgoing = []
    // Whoever waits for these is told so; nats.js would keep them for the next connection.
    if (!this.#nats.connected() || this.#nats.connection.isDraining()) return
    for (const { subject, data, options } of outgoing) this.#nats.connection.publish(subject, data, options)
  }

  last(aggregate: AggregateRef): Promise<StoredEvent | undefined> {
    return this.#reader.leader(this.#layout.streamOf(aggregate), { last_by_subj: subjectOf(aggregate) })
  }

  /** Sees every event that was acked before the call, whichever replica answers. Skips what is none of confab's. */
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
        // This replica is behind: the leader has it.
        const next = await this.#reader.leader(stream, { seq: position + 1, next_by_subj })
        if (next === undefined) return
        events = [next]
      }
      position = events.at(-1)?.streamSeq ?? position
      yield events.some(isForeign) ? events.filter(event => !isForeign(event)) : events
    }
  }

  /** Appends and reads that are under way. */
  get inFlight(): number {
    return this.#inbox.size
  }

  close(): void {
    this.#outgoing = []
    this.#inbox.close()
  }
}
