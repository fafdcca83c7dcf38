import type { HttpResponse } from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'

/** Bytes that may wait for whoever reads a body; beyond them the client is not read from. */
const waitingBytes = 1024 * 1024

/** The body of a request as it comes, read no faster than it is taken. Made in the handler's first turn. */
export class BodyStream implements AsyncIterable<Uint8Array> {
  readonly #res: HttpResponse
  #chunks: Uint8Array[] = []
  #waiting = 0
  #paused = false
  #ended = false
  #gone = false
  #dropping = false
  #wake: (() => void) | undefined

  constructor(res: HttpResponse) {
    this.#res = res
    res.onData((chunk, isLast) => {
      if (chunk.byteLength > 0 && !this.#dropping) {
        // The transport takes the chunk's memory back.
        this.#chunks.push(new Uint8Array(chunk.slice(0)))
        this.#waiting += chunk.byteLength
      }
      this.#ended ||= isLast
      if (this.#waiting > waitingBytes && !isLast && !this.#paused) {
        this.#paused = true
        res.pause()
      }
      this.#wake?.()
    })
  }

  /** The client has gone: whoever reads is told. */
  abort(): void {
    this.#gone = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      if (this.#gone) throw new ConfabError('BAD_REQUEST', 'The client has gone.')
      const chunks = this.#chunks
      this.#chunks = []
      this.#waiting = 0
      this.#resume()
      yield* chunks
      if (chunks.length > 0) continue
      if (this.#ended) return
      await this.#more()
    }
  }

  /** Reads what is left and lets it go: an answer that comes before the end of the request may never be seen. */
  async drop(): Promise<void> {
    this.#dropping = true
    this.#chunks = []
    this.#waiting = 0
    this.#resume()
    while (!this.#ended && !this.#gone) await this.#more()
  }

  #more(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  #resume(): void {
    if (!this.#paused || this.#gone) return
    this.#paused = false
    this.#res.resume()
  }
}
