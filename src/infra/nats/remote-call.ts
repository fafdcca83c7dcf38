import type { Msg } from '@nats-io/transport-node'
import { headerText, statusIn } from './raw-message.ts'
import type { Waiting } from './reply-inbox.ts'

/** A command that is not answered yet. */
export interface Call {
  readonly lane: Lane
  /** Calls are sent in the order that they were made. */
  readonly order: number
  readonly data: Uint8Array
  /** `performance.now()` after which it is given up. */
  readonly until: number
  readonly resolve: (answer: object) => void
  readonly reject: (error: Error) => void
  /** The try that counts; undefined while it waits for somebody to be sent to. */
  sent: Attempt | undefined
  done: boolean
}

/** The unanswered commands of one aggregate: all of them are with one member, so that they keep their order whoever comes or goes. */
export interface Lane {
  readonly key: string
  readonly bucket: number
  member: string | undefined
  /** Of its calls, how many are with the member. */
  sent: number
  /** Those that wait for their turn to be sent; among them may be some that are done. */
  held: Call[]
}

/** One time that a command was sent. An answer to any of them is the answer. */
export class Attempt implements Waiting {
  deadline = 0
  readonly member: string
  readonly #bus: Attempts
  readonly #call: Call

  constructor(bus: Attempts, call: Call, member: string) {
    this.#bus = bus
    this.#call = call
    this.member = member
  }

  answer(msg: Msg): boolean {
    if (this.#call.done) return true
    if (msg.data.length === 0 && statusIn(headerText(msg)) === 503) this.#bus.nobody(this, this.#call)
    else this.#bus.answered(this.#call, msg.data)
    return true
  }

  fail(why: 'timeout' | 'disconnected'): void {
    if (why === 'timeout' && !this.#call.done && this.#call.sent === this) this.#bus.silent(this.#call)
  }
}

/** What comes of attempts. */
export interface Attempts {
  /** With bytes: an answer, or an error. */
  answered(call: Call, data: Uint8Array): void
  /** It has not arrived: nobody listens there. */
  nobody(attempt: Attempt, call: Call): void
  /** The try that counts has not been answered in time. */
  silent(call: Call): void
}
