import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { FairSemaphore } from '../../../base/fair-semaphore.ts'
import type { Logger } from '../../../base/logger.ts'
import { ConfabError, isId, Limits, type Request } from '../../../events/index.ts'
import { isDamage, type RosterCheck } from '../../access/access.ts'
import type { Admission } from '../../limits/admission.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import type { PresenceBoard } from '../../presence/index.ts'
import { damageSeenBy, visibleError } from '../../requests/answers.ts'
import type { Answerer } from '../../requests/index.ts'
import { checkRequest, isRequestType, requestId } from '../../requests/request-check.ts'
import { largeAnswers } from '../../requests/session-requests.ts'
import type { Caller } from '../../sessions/caller.ts'
import { encodeAnswer, JsonFields } from '../../sessions/frames.ts'
import { asyncApiDocument } from './asyncapi.ts'
import type { CorsPolicy } from './cors.ts'
import { Exchange } from './http-exchange.ts'
import { openApiDocument } from './openapi.ts'
import { addRoute, methodsOf } from './routes.ts'

/** Readiness of this node, and of each component. */
export interface Readiness {
  readonly ready: boolean
  /** `false`: required and not ready. A string: the state of an optional component. */
  readonly parts: Readonly<Record<string, boolean | string>>
}

export interface HttpParts {
  readonly answer: Answerer
  readonly admission: Admission
  readonly isOnRoster: RosterCheck
  readonly tokens: TokenVerifier
  readonly presence: PresenceBoard
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  readonly readiness: () => Promise<Readiness>
  readonly cors: CorsPolicy
  readonly signDevToken?: (user: string) => Promise<string>
}

type Fields = Record<string, unknown>
type Query = 'history' | 'inbox' | 'undelivered' | 'search'

/** The HTTP routes for commands, queries, health and API documents. */
export class HttpRoutes {
  readonly #parts: HttpParts
  /** Large answers that are read. The transport sends them one at a time, so nothing has to wait for the client. */
  readonly #reads: FairSemaphore

  constructor(parts: HttpParts, { userLargeAnswers }: Pick<EdgeLimits, 'userLargeAnswers'>) {
    this.#parts = parts
    this.#reads = new FairSemaphore({ total: Number.POSITIVE_INFINITY, share: userLargeAnswers })
  }

  register(app: TemplatedApp): void {
    this.#commands(app, '/v1/commands')
    this.#query(app, '/v1/conversations/:c/events', 'history')
    this.#query(app, '/v1/inbox', 'inbox')
    this.#query(app, '/v1/undelivered', 'undelivered')
    this.#query(app, '/v1/search', 'search')
    this.#get(app, '/healthz', exchange => exchange.json(200, { ok: true }))
    this.#get(app, '/readyz', async exchange => {
      const { ready, parts } = await this.#parts.readiness()
      exchange.json(ready ? 200 : 503, { ok: ready, parts })
    })
    this.#get(app, '/metrics', async exchange => {
      const { contentType, body } = await this.#parts.metrics.expose()
      exchange.end(200, body, [['content-type', contentType]])
    })
    this.#get(app, '/v1/openapi.json', exchange => exchange.json(200, openApiDocument()))
    this.#get(app, '/v1/asyncapi.json', exchange => exchange.json(200, asyncApiDocument()))
    const { signDevToken } = this.#parts
    if (signDevToken !== undefined)
      this.#get(app, '/v1/dev/token', async exchange => {
        const user = exchange.query.get('user')
        if (!isId(user)) throw new ConfabError('BAD_REQUEST', 'user: expected a user id.', { field: '/user' })
        exchange.json(200, { token: await signDevToken(user) })
      })
    app.options('/v1/*', (res, req) => this.#exchange(res, req).preflight())
    // Matches last: paths without a route, and methods that a route lacks, of all routes of the app.
    app.any('/*', (res, req) => {
      const methods = methodsOf(app, req.getUrl())
      const exchange = this.#exchange(res, req)
      if (methods.length === 0) {
        exchange.error(new ConfabError('NOT_FOUND', 'No such path.').toBody())
        return
      }
      const error = new ConfabError('METHOD_NOT_ALLOWED', `Method not allowed. Use ${methods.join(' or ')}.`)
      exchange.error(error.toBody(), undefined, [['allow', methods.join(', ')]])
    })
  }

  #exchange(res: HttpResponse, req: HttpRequest): Exchange {
    return new Exchange(res, req, this.#parts.cors)
  }

  #get(app: TemplatedApp, pattern: string, handle: (exchange: Exchange) => void | Promise<void>): void {
    addRoute(app, 'get', pattern, (res, req) => {
      const exchange = this.#exchange(res, req)
      void this.#guard(exchange, async () => await handle(exchange))
    })
  }

  /** Adds a route that answers a query with the fields of its request as parameters. */
  #query(app: TemplatedApp, pattern: string, t: Query): void {
    addRoute(app, 'get', pattern, (res, req) => {
      const path = t === 'history' ? { c: req.getParameter(0) ?? '' } : {}
      const exchange = this.#exchange(res, req)
      void this.#guard(exchange, async () => {
        const caller = await exchange.caller(this.#parts.tokens)
        const fields = await this.#request(checkedRequest(requestOfQuery(t, exchange.query, path)), caller, 0)
        exchange.json(200, fields instanceof JsonFields ? fields.text : fields)
      })
    })
  }

  /** Adds the route that answers any request in a body. The client is authenticated before the body is read. */
  #commands(app: TemplatedApp, pattern: string): void {
    addRoute(app, 'post', pattern, (res, req) => {
      const exchange = this.#exchange(res, req)
      let re: string | null = null
      const handle = async (): Promise<void> => {
        let caller: Caller
        try {
          caller = await exchange.caller(this.#parts.tokens)
        } catch (error) {
          re = idOf(await exchange.body.arrived())
          throw error
        }
        const body = await exchange.body.read(Limits.frameBytes)
        const value = objectOfBody(body)
        re = requestId(value)
        if (re === null) throw new ConfabError('BAD_REQUEST', 'id: expected a string.', { field: '/id' })
        const fields = await this.#request(checkedRequest(value), caller, body.byteLength)
        exchange.json(200, encodeAnswer('json', re, fields) as string)
      }
      void this.#guard(exchange, handle, () => re)
    })
  }

  /** Answers a valid request with a body of this size. */
  async #request(request: Request, caller: Caller, bytes: number): Promise<object> {
    const { answer, admission, presence, metrics, logger } = this.#parts
    const started = performance.now()
    let outcome = 'ok'
    let seq: unknown
    let isCounted = false
    try {
      const meter = admission.user(caller.user, bytes, started)
      admission.request(request, caller.user, bytes, started)
      isCounted = true
      presence.actedOverHttp(caller.user, request.t, started)
      meter.inFlight++
      try {
        const fields = await (largeAnswers.has(request.t)
          ? this.#reads.run(caller.user, async () => await answer(request, caller))
          : answer(request, caller))
        if ('seq' in fields) seq = fields.seq
        return fields
      } finally {
        meter.inFlight--
      }
    } catch (thrown) {
      const { isOnRoster } = this.#parts
      const error = isDamage(thrown) ? await damageSeenBy(thrown, request, caller.user, isOnRoster) : thrown
      outcome = ConfabError.from(error).code
      if (isCounted) admission.refused(request, caller.user, bytes, error)
      throw error
    } finally {
      const ms = performance.now() - started
      metrics.answered(request.t, outcome, ms / 1000)
      const c = 'c' in request ? request.c : undefined
      logger.debug({ re: request.id, request: request.t, c, seq, outcome, ms }, 'answered over HTTP')
    }
  }

  /** Answers with the error when the handler fails. */
  async #guard(exchange: Exchange, handle: () => Promise<void>, re?: () => string | null): Promise<void> {
    try {
      await handle()
    } catch (error) {
      exchange.error(visibleError(error, this.#parts.logger, { request: 'http', re: re?.() }), re?.())
    }
  }
}

const checkedRequest = (value: Fields): Request => {
  if (value.t === 'hello')
    throw new ConfabError('BAD_REQUEST', 't: hello needs a session. Over HTTP, send the token in a header.', {
      field: '/t',
    })
  if (!isRequestType(value.t))
    throw new ConfabError('BAD_REQUEST', 't: unknown request type.', { field: '/t' })
  return checkRequest(value)
}

const numbers = ['limit', 'after', 'before'] as const

/** Returns the number in a text; otherwise the text, which the schema refuses. */
const asNumber = (text: string): number | string => (/^\d{1,16}$/.test(text) ? Number(text) : text)

const asBoolean = (text: string): boolean | string =>
  text === 'true' ? true : text === 'false' ? false : text

/** Parses `tea:7,milk:9` to an object; returns other texts, which the schema refuses. */
const asCursors = (text: string): Record<string, number> | string => {
  const pairs = [...text.matchAll(/([\w-]+):(\d{1,16})(,|$)/g)]
  if (pairs.map(([pair]) => pair).join('') !== text) return text
  return Object.fromEntries(pairs.map(([, c, seq]) => [c, Number(seq)]))
}

/** Returns the request in the parameters of a route, unchecked. The request check refuses unknown parameters. */
const requestOfQuery = (
  t: Query,
  query: URLSearchParams,
  path: Readonly<Record<string, string>> = {},
): Fields => {
  const fields: Fields = { id: 'http', t }
  for (const [name, text] of query) {
    if (name === 'id' || name === 't') continue
    if (name === 'hasMedia') fields[name] = asBoolean(text)
    else if (name === 'seen') fields[name] = t === 'inbox' ? asCursors(text) : asNumber(text)
    else if (name === 'limit' || (t === 'history' && numbers.some(number => number === name)))
      fields[name] = asNumber(text)
    else fields[name] = text
  }
  return { ...fields, ...path }
}

/** Parses a body. Throws ConfabError BAD_REQUEST. */
const objectOfBody = (body: Buffer): Fields => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    value = undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfabError('BAD_REQUEST', 'The body must be one JSON object in UTF-8.')
  return value as Fields
}

/** Returns the id of the request in a body, if it is readable. */
const idOf = (body: Buffer | undefined): string | null => {
  if (body === undefined || body.byteLength > Limits.frameBytes) return null
  try {
    return requestId(objectOfBody(body))
  } catch {
    return null
  }
}
