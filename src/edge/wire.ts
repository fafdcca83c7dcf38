import { type Encoding, type Frame, transcode } from './frames.ts'

/** A push that goes to many sockets: its JSON as it is, its MessagePack made once, when the first socket needs it. */
export class Wire {
  readonly json: Uint8Array
  #msgpack: Uint8Array | undefined

  constructor(json: Uint8Array) {
    this.json = json
  }

  static of(push: object): Wire {
    return new Wire(Buffer.from(JSON.stringify(push)))
  }

  get msgpack(): Uint8Array {
    this.#msgpack ??= transcode(this.json)
    return this.#msgpack
  }

  frame(encoding: Encoding): Frame {
    return encoding === 'json' ? this.json : this.msgpack
  }
}
