import {
  createInbox,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type Subscription,
} from '@nats-io/transport-node'

/** Receives the stream sequence of a stored message, or the server's refusal. */
export type OnStored = (streamSeq: number, refusal?: string) => void

const seqField = '"seq":'

/**
 * Publishes to JetStream with minimal overhead: headers as one string, replies on one subscription, one slot per
 * publish in flight. No timeouts, retries or promises: the upper bound for a Node process.
 */
export class RawPublisher {
  readonly #nats: NatsConnection
  readonly #replies: string
  readonly #subscription: Subscription
  readonly #waiting: (OnStored | undefined)[] = []
  readonly #free: number[] = []

  constructor(nats: NatsConnection) {
    this.#nats = nats
    this.#replies = `${createInbox()}.`
    this.#subscription = nats.subscribe(`${this.#replies}*`, {
      callback: (_, message) => this.#onReply(message),
    })
  }

  /**
   * Appends after `expected`, the sequence of the subject's last message; 0 for none. `more` headers come first, as
   * confab writes them.
   */
  publish(
    subject: string,
    body: Uint8Array,
    messageId: string,
    expected: number,
    onStored: OnStored,
    more = '',
  ): void {
    const slot = this.#free.pop() ?? this.#waiting.length
    this.#waiting[slot] = onStored
    const headers = Buffer.from(
      `NATS/1.0\r\n${more}Nats-Msg-Id: ${messageId}\r\nNats-Expected-Last-Subject-Sequence: ${expected}\r\n\r\n`,
      'latin1',
    )
    // The client only reads the bytes of the headers.
    this.#nats.publish(subject, body, {
      reply: this.#replies + slot,
      headers: { encode: () => headers } as unknown as MsgHdrs,
    })
  }

  close(): void {
    this.#subscription.unsubscribe()
  }

  #onReply(message: Msg): void {
    const slot = Number(message.subject.slice(this.#replies.length))
    const onStored = this.#waiting[slot]
    this.#waiting[slot] = undefined
    this.#free.push(slot)
    const reply = Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length).toString(
      'latin1',
    )
    const at = reply.indexOf(seqField)
    if (at < 0 || reply.includes('"error"')) onStored?.(0, reply)
    else onStored?.(Number.parseInt(reply.slice(at + seqField.length), 10))
  }
}
