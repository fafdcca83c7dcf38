import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { ConfabError, type ErrorBody, ErrorRegistry } from '../../../events/index.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import { bearerToken, type Caller } from '../../sessions/caller.ts'

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

export type HeaderList = readonly (readonly [name: string, value: string])[]

/** Of every answer. What HTTP gives is data, never to be guessed at, framed or kept. */
const always: HeaderList = [
  ['x-content-type-options', 'nosniff'],
  ['referrer-policy', 'no-referrer'],
]

const noStore: HeaderList = [['cache-control', 'no-store']]

/** Whether a browser page of some origin may read an answer. */
export type CorsPolicy = (origin: string) => string | undefined

/** `*` is for any origin. Tokens go in a header, not in a cookie, so that no answer depends on who is signed in elsewhere. */
export const corsPolicy = (origins: readonly string[]): CorsPolicy =>
  origins.includes('*') ? () => '*' : origin => (origins.includes(origin) ? origin : undefined)

/** One HTTP request and its answer. The request is read at once: the transport takes it back after the handler's first turn. */
export class Exchange {
  readonly authorization: string
  readonly query: URLSearchParams
  readonly traceparent: string
  /** HEAD: as GET, without the body (RFC 9110, 9.3.2). */
  readonly isHead: boolean
  readonly #res: HttpResponse
  readonly #allowedOrigin: string | undefined
  #over = false
  /** Goes on with an answer that waits for the client to take more of it. */
  #onRoom: (() => void) | undefined

  constructor(res: HttpResponse, req: HttpRequest, cors: CorsPolicy, onAborted?: () => void) {
    this.#res = res
    this.authorization = req.getHeader('authorization')
    this.traceparent = req.getHeader('traceparent')
    this.isHead = req.getMethod() === 'head'
    this.query = new URLSearchParams(req.getQuery())
    const origin = req.getHeader('origin')
    this.#allowedOrigin = origin === '' ? undefined : cors(origin)
    res.onAborted(() => {
      this.#over = true
      onAborted?.()
      this.#onRoom?.()
    })
  }

  /** Whether it has been answered, or the client has gone. */
  get isOver(): boolean {
    return this.#over
  }

  json(status: number, body: string | object, headers: HeaderList = []): void {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    this.end(status, text, [['content-type', 'application/json; charset=utf-8'], ...noStore, ...headers])
  }

  /** An error as the body of an answer, with the status of its code. `re` names the request where there was one. */
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

  /** An answer of so many bytes, taken from `source` as fast as the client takes them. Should they not come, the connection is closed. */
  async stream(
    status: number,
    headers: HeaderList,
    size: number,
    source: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    if (this.isHead) this.endWithoutBody(status, headers, size)
    else if (size === 0) this.end(status, '', headers)
    if (this.#over) return
    const res = this.#res
    res.cork(() => this.#head(status, headers))
    try {
      for await (const chunk of source) if (!(await this.#send(chunk, size))) return
    } finally {
      if (!this.#over) res.close()
    }
  }

  /** Begins an answer that goes on, and gives it away; undefined when the client has gone. `onAborted` of the constructor is still told. */
  handOver(headers: HeaderList): HttpResponse | undefined {
    if (this.#over) return undefined
    this.#over = true
    this.#res.cork(() => this.#head(200, headers))
    return this.#res
  }

  end(status: number, body: string | Uint8Array, headers: HeaderList): void {
    if (status === 204 || status === 304) this.endWithoutBody(status, headers)
    else if (this.isHead) this.endWithoutBody(status, headers, Buffer.byteLength(body))
    else this.#end(status, headers, res => res.end(body))
  }

  /** `size`: bytes of the body that GET would have, where there is one that ends. */
  endWithoutBody(status: number, headers: HeaderList, size?: number): void {
    this.#end(status, headers, res => (size === undefined ? res.endWithoutBody() : res.endWithoutBody(size)))
  }

  #end(status: number, headers: HeaderList, finish: (res: HttpResponse) => void): void {
    if (this.#over) return
    this.#over = true
    this.#res.cork(() => {
      this.#head(status, headers)
      finish(this.#res)
    })
  }

  #head(status: number, headers: HeaderList): void {
    const res = this.#res
    res.writeStatus(`${status} ${statusText[status] ?? ''}`)
    for (const [name, value] of always) res.writeHeader(name, value)
    if (this.#allowedOrigin !== undefined) {
      res.writeHeader('access-control-allow-origin', this.#allowedOrigin)
      res.writeHeader('vary', 'origin')
    }
    for (const [name, value] of headers) res.writeHeader(name, value)
  }

  /** Sends a piece of an answer of `size` bytes. Resolves when more may come; to false when none will be needed. */
  async #send(chunk: Uint8Array, size: number): Promise<boolean> {
    if (this.#over) return false
    const res = this.#res
    const start = res.getWriteOffset()
    const attempt = (rest: Uint8Array): boolean => {
      const [isTaken, isDone] = res.tryEnd(rest, size)
      if (isDone) this.#over = true
      return isTaken || isDone
    }
    let isTaken = false
    res.cork(() => {
      isTaken = attempt(chunk)
    })
    if (!isTaken)
      await new Promise<void>(resolve => {
        this.#onRoom = resolve
        res.onWritable(offset => {
          if (this.#over) return true
          const isTaken = attempt(chunk.subarray(offset - start))
          if (isTaken) resolve()
          return isTaken
        })
      })
    return !this.#over
  }

  /** Answers a browser that asks whether it may call a route. */
  preflight(): void {
    this.end(204, '', [
      ['access-control-allow-methods', 'GET, POST, PUT'],
      ['access-control-allow-headers', 'authorization, content-type, last-event-id, range, traceparent'],
      ['access-control-max-age', '600'],
    ])
  }

  /** The body, up to `limit` bytes. Rejects with ConfabError TOO_LARGE beyond; stays open for ever when the client has gone. */
  async body(limit: number): Promise<Buffer> {
    return await new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      this.#res.onData((chunk, isLast) => {
        bytes += chunk.byteLength
        // The rest is read and let go, so that the answer can be.
        if (bytes <= limit) chunks.push(Buffer.from(Buffer.from(chunk)))
        if (!isLast) return
        if (bytes > limit) reject(new ConfabError('TOO_LARGE', `A request may have ${limit} bytes at most.`))
        else resolve(Buffer.concat(chunks))
      })
    })
  }
}

const traceparentPattern = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** Who asks over HTTP. Rejects with ConfabError UNAUTHENTICATED. */
export const callerOf = async (exchange: Exchange, tokens: TokenVerifier): Promise<Caller> => {
  const token = bearerToken(exchange.authorization)
  if (token === undefined)
    throw new ConfabError('UNAUTHENTICATED', 'There is no token in the header Authorization: Bearer ….')
  const { user } = await tokens.verify(token)
  const { traceparent } = exchange
  return traceparentPattern.test(traceparent) ? { user, traceparent } : { user }
}
