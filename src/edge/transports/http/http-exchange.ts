import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { ConfabError, type ErrorBody, ErrorRegistry, isId } from '../../../events/index.ts'
import type { ClientTokens } from '../../limits/client-tokens.ts'
import type { AddressLimit } from '../../limits/connection-limits.ts'
import { bearerToken, type Caller } from '../../sessions/caller.ts'
import { peerOf } from '../listen.ts'
import type { CorsPolicy, HeaderList } from './cors.ts'
import { RequestBody } from './http-body.ts'

const statusText: Readonly<Record<number, string>> = {
  200: 'OK',
  202: 'Accepted',
  204: 'No Content',
  206: 'Partial Content',
  302: 'Found',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  413: 'Content Too Large',
  416: 'Range Not Satisfiable',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
}

/** Headers of every answer: browsers must not guess its type, or send its URL to other sites. */
const always: HeaderList = [
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
]

const noStore: HeaderList = [['cache-control', 'no-store']]

/** The parts that authenticate the clients of a route. */
export interface CallerParts {
  readonly tokens: ClientTokens
  readonly addresses: Pick<AddressLimit, 'keyOf'>
}

/** Most parameters in the path of a route. */
const maxParameters = 2

/** Returns the parameters in the path of a request. The transport does not decode them. */
const pathParameters = (req: HttpRequest): string[] => {
  const found: string[] = []
  for (let index = 0; index < maxParameters; index++) {
    const value = req.getParameter(index)
    if (value === undefined) break
    found.push(value)
  }
  return found
}

const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/**
 * One HTTP request and its answer. Must be created in the first turn of a route's handler, because the transport reuses
 * the request after it. An answer that is sent before the request's body has arrived closes the connection, and so does
 * the answer to a body in chunks.
 */
export class Exchange {
  readonly authorization: string
  readonly query: URLSearchParams
  readonly traceparent: string
  /** HEAD is answered like GET, without the body (RFC 9110, 9.3.2). */
  readonly isHead: boolean
  readonly body: RequestBody
  /** The parameters of the route's path, as the client sent them. */
  readonly #path: readonly string[]
  readonly #res: HttpResponse
  readonly #cors: CorsPolicy
  readonly #origin: string
  readonly #forwarded: string
  #isOver = false
  #isAborted = false
  /** Wakes `#send`, which waits until the client has received more of an answer. */
  #onWritable: (() => void) | undefined

  constructor(res: HttpResponse, req: HttpRequest, cors: CorsPolicy, onAborted?: () => void) {
    this.#res = res
    this.#cors = cors
    this.authorization = req.getHeader('authorization')
    this.traceparent = req.getHeader('traceparent')
    this.isHead = req.getMethod() === 'head'
    this.query = new URLSearchParams(req.getQuery())
    this.#origin = req.getHeader('origin')
    this.#forwarded = req.getHeader('x-forwarded-for')
    this.#path = pathParameters(req)
    this.body = new RequestBody(res, req)
    res.onAborted(() => {
      this.#isOver = true
      this.#isAborted = true
      this.body.aborted()
      onAborted?.()
      this.#onWritable?.()
    })
  }

  /** Whether the request was answered or the client has disconnected. */
  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Authenticates the client. Must be called in the first turn of a route's handler. Rejects with ConfabError as
   * `ClientTokens` does.
   */
  async caller({ tokens, addresses }: CallerParts): Promise<Caller> {
    const token = this.requireToken()
    const address = addresses.keyOf(peerOf(this.#res), this.#forwarded)
    const { user } = await tokens.verify(address, token)
    return traceparentPattern.test(this.traceparent) ? { user, traceparent: this.traceparent } : { user }
  }

  /** Returns the token of the request. Throws ConfabError UNAUTHENTICATED. */
  requireToken(): string {
    const token = bearerToken(this.authorization)
    if (token === undefined)
      throw new ConfabError('UNAUTHENTICATED', 'No token. Send the header Authorization: Bearer TOKEN.')
    return token
  }

  /**
   * Returns an id in the path: the parameter of the route with this index. Throws ConfabError NOT_FOUND for any other
   * text, as for an id that does not exist. Routes read the path only here, once the client is authenticated.
   */
  pathId(index: number): string {
    const id = this.#path[index]
    if (!isId(id)) throw new ConfabError('NOT_FOUND')
    return id
  }

  json(status: number, body: string | object, headers: HeaderList = []): void {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    this.end(status, text, [['content-type', 'application/json; charset=utf-8'], ...noStore, ...headers])
  }

  /** Answers with an error and the status of its code. `re`: the id of the request, if it has one. */
  error(error: ErrorBody, re?: string | null, more: HeaderList = []): void {
    const headers: (readonly [string, string])[] = [...more]
    if (error.code === 'UNAUTHENTICATED') headers.push(['www-authenticate', 'Bearer'])
    if (error.retryAfterMs !== undefined)
      headers.push(['retry-after', String(Math.ceil(error.retryAfterMs / 1000))])
    this.json(
      ErrorRegistry[error.code].status,
      { ...(re === undefined ? {} : { re }), ok: false, error },
      headers,
    )
  }

  /** Answers a CORS preflight request. */
  preflight(): void {
    this.end(204, '', this.#cors.preflightHeaders(this.#origin))
  }

  /**
   * Answers with `size` bytes from `source`, read as fast as the client receives them. Closes the connection when the
   * source fails or ends early.
   */
  async stream(
    status: number,
    headers: HeaderList,
    size: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    if (this.isHead) this.endWithoutBody(status, headers, size)
    else if (size === 0) this.end(status, '', headers)
    if (this.#isOver) return
    const res = this.#res
    this.body.discard()
    res.cork(() => this.#writeHead(status, headers))
    try {
      for await (const chunk of source) if (!(await this.#send(chunk, size))) return
    } finally {
      if (!this.#isOver) res.close()
    }
  }

  /**
   * Writes the head of an endless answer and returns its response; undefined when the client has disconnected. The
   * constructor's `onAborted` is still called.
   */
  handOver(headers: HeaderList): HttpResponse | undefined {
    if (this.#isOver) return undefined
    this.#isOver = true
    this.body.discard()
    this.#res.cork(() => this.#writeHead(200, headers))
    return this.#res
  }

  end(status: number, body: string | Uint8Array, headers: HeaderList): void {
    if (status === 204 || status === 304) this.endWithoutBody(status, headers)
    else if (this.isHead) this.endWithoutBody(status, headers, Buffer.byteLength(body))
    else this.#end(status, headers, (res, isLast) => res.end(body, isLast))
  }

  /** `size`: size of the body that GET would return, if it has an end. */
  endWithoutBody(status: number, headers: HeaderList, size?: number): void {
    this.#end(status, headers, (res, isLast) => {
      // An undefined size must not be passed: uWebSockets.js would write it as 2^63.
      if (isLast || size !== undefined) res.endWithoutBody(size ?? 0, isLast)
      else res.endWithoutBody()
    })
  }

  #end(status: number, headers: HeaderList, finish: (res: HttpResponse, isLast: boolean) => void): void {
    if (this.#isOver) return
    this.#isOver = true
    const { isChunked } = this.body
    const isLast = !this.body.isComplete || isChunked
    this.body.answered()
    const answer = (): void => {
      if (this.#isAborted) return
      this.#res.cork(() => {
        this.#writeHead(status, headers)
        finish(this.#res, isLast)
      })
    }
    // Another server may find another end of the chunks, so nothing after them must run. The transport closes a
    // connection that sends a request before the previous one is answered.
    if (isChunked) setImmediate(answer)
    else answer()
  }

  #writeHead(status: number, headers: HeaderList): void {
    const res = this.#res
    res.writeStatus(`${status} ${statusText[status] ?? ''}`)
    for (const [name, value] of always) res.writeHeader(name, value)
    for (const [name, value] of this.#cors.headers(this.#origin)) res.writeHeader(name, value)
    for (const [name, value] of headers) res.writeHeader(name, value)
  }

  /** Sends a chunk of an answer of `size` bytes. Resolves to true when the client has received enough to send more. */
  async #send(chunk: Uint8Array, size: number): Promise<boolean> {
    if (this.#isOver) return false
    const res = this.#res
    const start = res.getWriteOffset()
    const attempt = (rest: Uint8Array): boolean => {
      const [isTaken, isDone] = res.tryEnd(rest, size)
      if (isDone) this.#isOver = true
      return isTaken || isDone
    }
    let isTaken = false
    res.cork(() => {
      isTaken = attempt(chunk)
    })
    if (!isTaken)
      await new Promise<void>(resolve => {
        this.#onWritable = resolve
        res.onWritable(offset => {
          if (this.#isOver) return true
          const isTaken = attempt(chunk.subarray(offset - start))
          if (isTaken) resolve()
          return isTaken
        })
      })
    return !this.#isOver
  }
}
