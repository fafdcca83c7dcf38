import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'

/** Bytes buffered for the reader of a body. Beyond them the connection is paused. */
const bufferBytes = 1024 * 1024

/**
 * The body of an HTTP request. Nothing beyond the first chunk, which arrives with the headers, is taken from the
 * connection until the body is read: a route authenticates the client first. Must be created in the first turn of a
 * route's handler.
 */
export class RequestBody implements AsyncIterable<Uint8Array> {
  /** Size in the header `Content-Length`; NaN without one. */
  readonly size: number
  /** Whether the client sends the body in chunks. The transport accepts lines of chunks with any end. */
  readonly isChunked: boolean
  readonly #res: HttpResponse
  #chunks: Uint8Array[] = []
  #buffered = 0
  #isRead = false
  #isDiscarded = false
  #isPaused = false
  #isComplete = false
  #isAborted = false
  #wake: (() => void) | undefined

  constructor(res: HttpResponse, req: HttpRequest) {
    this.#res = res
    const length = req.getHeader('content-length')
    this.size = length === '' ? Number.NaN : Number(length)
    this.isChunked = req.getHeader('transfer-encoding') !== ''
    this.#isComplete = !(this.size > 0) && !this.isChunked
    if (!this.#isComplete) res.onData((chunk, isLast) => this.#received(chunk, isLast))
  }

  /** Whether the whole body has arrived. If not, the answer must close the connection. */
  get isComplete(): boolean {
    return this.#isComplete
  }

  /** Reads the whole body. Rejects with ConfabError TOO_LARGE as soon as it exceeds `limit` bytes. */
  async read(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = []
    let bytes = this.size > limit ? this.size : 0
    if (bytes === 0)
      for await (const chunk of this) {
        bytes += chunk.byteLength
        if (bytes > limit) break
        chunks.push(chunk)
      }
    if (bytes > limit) throw new ConfabError('TOO_LARGE', `A request may have at most ${limit} bytes.`)
    return Buffer.concat(chunks)
  }

  /** Reads the body no faster than the consumer of the iterator. Throws ConfabError when the client disconnects. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    this.#isRead = true
    for (;;) {
      if (this.#isAborted) throw new ConfabError('BAD_REQUEST', 'The client disconnected.')
      const chunks = this.#chunks
      this.#chunks = []
      this.#buffered = 0
      this.#resume()
      yield* chunks
      if (chunks.length > 0 || this.#chunks.length > 0) continue
      if (this.#isComplete) return
      if (!this.#isAborted)
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
    }
  }

  /** Drops the body as it arrives, for an answer that leaves the connection open while the body is incomplete. */
  discard(): void {
    if (this.#isComplete) return
    this.#isDiscarded = true
    this.#chunks = []
    this.#resume()
  }

  /** The request was answered. The response must not be used any more, although more chunks may arrive. */
  answered(): void {
    this.#isDiscarded = true
    this.#chunks = []
  }

  /** The client disconnected. */
  aborted(): void {
    this.#isAborted = true
    this.#wake?.()
  }

  #received(chunk: ArrayBuffer, isLast: boolean): void {
    this.#isComplete ||= isLast
    if (this.#isDiscarded) return
    if (chunk.byteLength > 0) {
      // The transport reuses the memory of the chunk.
      this.#chunks.push(new Uint8Array(chunk.slice(0)))
      this.#buffered += chunk.byteLength
    }
    if (!isLast && !this.#isPaused && (!this.#isRead || this.#buffered > bufferBytes)) {
      this.#isPaused = true
      this.#res.pause()
    }
    this.#wake?.()
  }

  #resume(): void {
    if (!this.#isPaused || this.#isAborted) return
    this.#isPaused = false
    this.#res.resume()
  }
}
