import { type Encoding, eventOf, type Frame, transcode } from '../sessions/frames.ts'

/** A push that goes to many sessions: its JSON as it is, all else made once, when the first session needs it. */
export class Wire {
  readonly json: Uint8Array
  readonly #id: (() => string) | undefined
  #msgpack: Uint8Array | undefined
  #sse: string | undefined

  /** `id`: of what is stored, where an event stream goes on after it; asked in the turn in which it is published. */
  constructor(json: Uint8Array, id?: () => string) {
    this.json = json
    this.#id = id
  }

  static of(push: object): Wire {
    return new Wire(Buffer.from(JSON.stringify(push)))
  }

  get msgpack(): Uint8Array {
    this.#msgpack ??= transcode(this.json)
    return this.#msgpack
  }

  get sse(): string {
    this.#sse ??= this.event(this.#id?.())
    return this.#sse
  }

  /** As an event of an event stream, with an id of its own. */
  event(id: string | undefined): string {
    return eventOf(Buffer.from(this.json.buffer, this.json.byteOffset, this.json.byteLength).toString(), id)
  }

  frame(encoding: Encoding): Frame {
    if (encoding === 'json') return this.json
    if (encoding === 'msgpack') return this.msgpack
    return encoding === 'sse' ? this.sse : this.json
  }
}
