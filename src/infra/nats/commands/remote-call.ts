import type { Msg } from '@nats-io/transport-node'
import { headerText, statusIn } from '../client/raw-message.ts'
import type { PendingRequest } from '../client/reply-inbox.ts'
import type { WireCommand } from './command-wire.ts'

/** A command that is not answered yet. */
export interface Call {
  readonly lane: Lane
  /** Calls are sent in the order that they were made. */
  readonly order: number
  readonly command: Omit<WireCommand, 'ttl'>
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

const isNobody = (msg: Msg): boolean => msg.data.length === 0 && statusIn(headerText(msg)) === 503

/** One time that a command was sent. An answer to any of them is the answer. */
export class Attempt implements PendingRequest {
  deadline = 0
  readonly member: string
  /** `performance.now()` when it was sent. */
  readonly at: number
  /** Whether the member has had it for the first time: when it has not arrived, the member has not got it. */
  readonly isFirst: boolean
  readonly #bus: Attempts
  readonly #call: Call

  constructor(bus: Attempts, call: Call, member: string, at: number) {
    this.isFirst = call.sent?.member !== member
    this.#bus = bus
    this.#call = call
    this.member = member
    this.at = at
  }

  answer(msg: Msg): boolean {
    if (this.#call.done) return true
    if (isNobody(msg)) this.#bus.nobody(this, this.#call)
    else this.#bus.answered(this.#call, msg.data)
    return true
  }

  /** The bus looks after silences itself: an answer is welcome for as long as the call lives. */
  fail(): void {}
}

/** A message without a command: whoever listens does not answer, and where nobody does, NATS says so. */
export class Probe implements PendingRequest {
  deadline = 0
  readonly #member: string
  readonly #members: { lost(member: string): void }

  constructor(member: string, members: { lost(member: string): void }) {
    this.#member = member
    this.#members = members
  }

  answer(msg: Msg): boolean {
    if (isNobody(msg)) this.#members.lost(this.#member)
    return true
  }

  fail(): void {}
}

/** What comes of attempts. */
export interface Attempts {
  /** With bytes: an answer, or an error. */
  answered(call: Call, data: Uint8Array): void
  /** It has not arrived: nobody listens there. */
  nobody(attempt: Attempt, call: Call): void
}
