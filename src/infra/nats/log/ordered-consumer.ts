import { createInbox, type Msg, nuid, type Subscription } from '@nats-io/transport-node'
import type { StoredEvent } from '../../../events/index.ts'
import type { Nats } from '../client/connection.ts'
import { headerIn, headerText, needleOf, statusIn } from '../client/raw-message.ts'
import { toStoredEvent } from './stored-message.ts'

const heartbeatMs = 2_000
/** Silence after which the consumer is taken for dead, ms. */
const silenceMs = 3 * heartbeatMs
const lastConsumerNeedle = needleOf('Nats-Last-Consumer')
const stalledNeedle = needleOf('Nats-Consumer-Stalled')

interface Delivered {
  readonly streamSeq: number
  readonly consumerSeq: number
  readonly pending: number
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`; a domain and an account may stand before the stream, and
 * something random after the end.
 */
export const readAckSubject = (subject: string): Delivered => {
  // By dots, not by `split`: this runs for every event of a catch-up.
  let tokens = 1
  for (let dot = subject.indexOf('.'); dot >= 0; dot = subject.indexOf('.', dot + 1)) tokens++
  let start = 0
  for (let skip = tokens >= 11 ? 7 : 5; skip > 0; skip--) start = subject.indexOf('.', start) + 1
  const afterStream = subject.indexOf('.', start)
  const afterConsumer = subject.indexOf('.', afterStream + 1)
  const afterTime = subject.indexOf('.', afterConsumer + 1)
  const end = subject.indexOf('.', afterTime + 1)
  return {
    streamSeq: Number(subject.slice(start, afterStream)),
    consumerSeq: Number(subject.slice(afterStream + 1, afterConsumer)),
    pending: Number(subject.slice(afterTime + 1, end < 0 ? undefined : end)),
  }
}

/**
 * A stream's events after a sequence, in order, each once, for as long as it is not stopped. A push consumer without acks, as nats.js' ordered consumer is a
 * pull one: this one gives 1.5 times its rate, as headers stay text. When something was lost, or silence lasts, it starts another one where it was.
 */
export class OrderedConsumer {
  readonly #nats: Nats
  readonly #stream: string
  readonly #room: number
  readonly #timer: NodeJS.Timeout
  readonly #unlisten: () => void
  #queue: StoredEvent[] = []
  /** Sequence up to which events are queued, or were taken. */
  #position: number
  #name = ''
  #subscription: Subscription | undefined
  #consumerSeq = 0
  #isAtEnd = false
  #tellsEnd = false
  #heardAt = 0
  /** The server waits for this reply before it sends more. */
  #flowControl: string | undefined
  #failures = 0
  #isStopped = false
  #wake: (() => void) | undefined

  /** `room`: how many events may be queued before the server has to wait. */
  constructor(nats: Nats, stream: string, after: number, room: number) {
    this.#nats = nats
    this.#stream = stream
    this.#position = after
    this.#room = room
    this.#timer = setInterval(() => this.#watch(), heartbeatMs / 2)
    this.#timer.unref()
    this.#unlisten = nats.onChange(connected => {
      if (connected) this.#restart()
    })
    this.#restart()
  }

  /** The next events, at most `max`: waits for one; none says that the stream's end is reached for now, or that it was stopped. */
  async next(max: number): Promise<StoredEvent[]> {
    while (this.#queue.length === 0 && !this.#tellsEnd && !this.#isStopped)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    if (this.#queue.length === 0) {
      this.#tellsEnd = false
      return []
    }
    const events = this.#queue.length <= max ? this.#queue : this.#queue.slice(0, max)
    this.#queue = this.#queue.length <= max ? [] : this.#queue.slice(max)
    this.#allowMore()
    return events
  }

  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#timer)
    this.#unlisten()
    this.#abandon()
    this.#wake?.()
  }

  #restart(): void {
    this.#abandon()
    if (this.#isStopped || !this.#nats.connected()) return
    this.#heardAt = performance.now()
    this.#consumerSeq = 0
    this.#flowControl = undefined
    const name = nuid.next()
    this.#name = name
    const inbox = createInbox()
    this.#subscription = this.#nats.connection.subscribe(inbox, {
      callback: (_error, msg) => this.#receive(msg),
    })
    this.#create(name, inbox).catch(() => {
      if (this.#name !== name || this.#isStopped) return
      // The stream has no leader just now, or there is no connection: `#watch` tries again.
      this.#heardAt = performance.now() - silenceMs + Math.min(100 * 2 ** this.#failures++, heartbeatMs)
    })
  }

  async #create(name: string, inbox: string): Promise<void> {
    const config = {
      name,
      deliver_subject: inbox,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: this.#position + 1,
      ack_policy: 'none',
      max_deliver: 1,
      flow_control: true,
      idle_heartbeat: heartbeatMs * 1e6,
      inactive_threshold: 10 * heartbeatMs * 1e6,
      mem_storage: true,
      num_replicas: 1,
    }
    const answer = await this.#nats.connection.request(
      `$JS.API.CONSUMER.CREATE.${this.#stream}.${name}`,
      JSON.stringify({ stream_name: this.#stream, config, action: 'create' }),
      { timeout: silenceMs },
    )
    const { error, num_pending } = answer.json<{ error?: { description: string }; num_pending?: number }>()
    if (error !== undefined) throw new Error(error.description)
    if (this.#name !== name) return
    this.#failures = 0
    // Anything delivered by now has said itself how much is behind it.
    if (num_pending === 0 && this.#consumerSeq === 0) this.#reachEnd()
  }

  #abandon(): void {
    this.#subscription?.unsubscribe()
    if (this.#name !== '' && this.#nats.connected())
      this.#nats.connection.publish(`$JS.API.CONSUMER.DELETE.${this.#stream}.${this.#name}`)
    this.#name = ''
  }

  #receive(msg: Msg): void {
    this.#heardAt = performance.now()
    const headers = headerText(msg)
    if (msg.data.length === 0 && statusIn(headers) === 100) {
      this.#receiveStatus(msg, headers)
      return
    }
    const { streamSeq, consumerSeq, pending } = readAckSubject(msg.reply ?? '')
    if (consumerSeq !== this.#consumerSeq + 1) {
      this.#restart()
      return
    }
    this.#consumerSeq = consumerSeq
    this.#position = streamSeq
    this.#queue.push(toStoredEvent(this.#stream, streamSeq, msg.subject, headers, msg.data))
    if (pending === 0) this.#reachEnd()
    else {
      this.#isAtEnd = false
      this.#tellsEnd = false
    }
    this.#wake?.()
  }

  #receiveStatus(msg: Msg, headers: string): void {
    // Of a heartbeat, the last that was delivered: if it is another one than came, something was lost.
    const lastConsumerSeq = headerIn(headers, lastConsumerNeedle)
    if (lastConsumerSeq !== undefined && Number(lastConsumerSeq) !== this.#consumerSeq) {
      this.#restart()
      return
    }
    this.#flowControl = msg.reply || headerIn(headers, stalledNeedle) || this.#flowControl
    this.#allowMore()
  }

  #allowMore(): void {
    if (this.#flowControl === undefined || this.#queue.length > this.#room || !this.#nats.connected()) return
    this.#nats.connection.publish(this.#flowControl)
    this.#flowControl = undefined
  }

  #reachEnd(): void {
    if (!this.#isAtEnd) this.#tellsEnd = true
    this.#isAtEnd = true
    this.#wake?.()
  }

  #watch(): void {
    if (performance.now() - this.#heardAt > silenceMs) this.#restart()
  }
}
