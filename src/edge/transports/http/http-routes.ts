import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import type { Logger } from '../../../base/logger.ts'
import { ConfabError, isId, Limits, type Request } from '../../../events/index.ts'
import type { Admission } from '../../limits/admission.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import type { PresenceBoard } from '../../presence/index.ts'
import { visibleError } from '../../requests/answers.ts'
import type { Answerer } from '../../requests/index.ts'
import { checkRequest, isRequestType, requestId } from '../../requests/request-check.ts'
import type { Caller } from '../../sessions/caller.ts'
import { encodeAnswer, JsonFields } from '../../sessions/frames.ts'
import { asyncApiDocument } from './asyncapi.ts'
import { type CorsPolicy, callerOf, Exchange } from './http-exchange.ts'
import { openApiDocument } from './openapi.ts'
import { addRoute, methodsOf } from './routes.ts'

/** Whether this node can serve, and which part of it cannot. */
export interface Readiness {
  readonly ready: boolean
  readonly parts: Readonly<Record<string, boolean | string>>
}

export interface HttpParts {
  readonly answer: Answerer
  readonly admission: Admission
  readonly tokens: TokenVerifier
  readonly presence: PresenceBoard
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  readonly readiness: () => Promise<Readiness>
  readonly cors: CorsPolicy
  readonly signDevToken?: (user: string) => Promise<string>
}

type Fields = Record<string, unknown>

/** The routes of the protocol but the socket. */
export class HttpRoutes {
  readonly #parts: HttpParts

  constructor(parts: HttpParts) {
    this.#parts = parts
  }

  register(app: TemplatedApp): void {
    this.#post(app, '/v1/commands')
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
    // What no other route has taken, those of others too.
    app.any('/*', (res, req) => {
      const methods = methodsOf(app, req.getUrl())
      const exchange = this.#exchange(res, req)
      if (methods.length === 0) {
        exchange.error(new ConfabError('NOT_FOUND', 'There is no such path.').toBody())
        return
      }
      const allow = methods.join(', ')
      const error = new ConfabError('METHOD_NOT_ALLOWED', `This path has ${allow}.`)
      exchange.error(error.toBody(), undefined, [['allow', allow]])
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

  /** A query by its parameters. */
  #query(app: TemplatedApp, pattern: string, t: 'history' | 'inbox' | 'undelivered' | 'search'): void {
    addRoute(app, 'get', pattern, (res, req) => {
      const path = t === 'history' ? { c: req.getParameter(0) ?? '' } : {}
      const exchange = this.#exchange(res, req)
      void this.#guard(exchange, async () => {
        const caller = await callerOf(exchange, this.#parts.tokens)
        const fields = await this.#request(checkedRequest(requestOfQuery(t, exchange.query, path)), caller, 0)
        exchange.json(200, fields instanceof JsonFields ? fields.text : fields)
      })
    })
  }

  #post(app: TemplatedApp, pattern: string): void {
    addRoute(app, 'post', pattern, (res, req) => {
      const exchange = this.#exchange(res, req)
      const body = exchange.body(Limits.frameBytes)
      let re: string | null = null
      void this.#guard(
        exchange,
        async () => {
          const value = objectOfBody(await body)
          re = requestId(value)
          const caller = await callerOf(exchange, this.#parts.tokens)
          if (re === null) throw new ConfabError('BAD_REQUEST', 'id: expected a string.', { field: '/id' })
          exchange.json(
            200,
            encodeAnswer(
              'json',
              re,
              await this.#request(checkedRequest(value), caller, (await body).byteLength),
            ) as string,
          )
        },
        () => re,
      )
    })
  }

  /** `bytes`: of the body. */
  async #request(request: Request, caller: Caller, bytes: number): Promise<object> {
    const { answer, admission, presence, metrics, logger } = this.#parts
    const started = performance.now()
    let outcome = 'ok'
    let seq: unknown
    try {
      admission.user(caller.user, bytes, started)
      admission.request(request, bytes, started)
      presence.actedOverHttp(caller.user, request.t, started)
      const fields = await answer(request, caller)
      if ('seq' in fields) seq = fields.seq
      return fields
    } catch (error) {
      outcome = ConfabError.is(error) ? error.code : 'INTERNAL'
      admission.failed(request, bytes, error)
      throw error
    } finally {
      const ms = performance.now() - started
      metrics.answered(request.t, outcome, ms / 1000)
      const c = 'c' in request ? request.c : undefined
      logger.debug({ re: request.id, request: request.t, c, seq, outcome, ms }, 'answered over HTTP')
    }
  }

  /** Whatever goes wrong is answered, once. */
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
    throw new ConfabError('BAD_REQUEST', 't: hello is for sockets; here the token is in a header.', {
      field: '/t',
    })
  if (!isRequestType(value.t))
    throw new ConfabError('BAD_REQUEST', 't: there is no request of this type.', { field: '/t' })
  return checkRequest(value)
}

const numbers = ['limit', 'after', 'before'] as const

/** A number where the text is one; else the text, for the schema to refuse. */
const asNumber = (text: string): number | string => (/^\d{1,16}$/.test(text) ? Number(text) : text)

const asBoolean = (text: string): boolean | string =>
  text === 'true' ? true : text === 'false' ? false : text

/** `tea:7,milk:9` as an object; what is no such list stays, for the schema to refuse. */
const asCursors = (text: string): Record<string, number> | string => {
  const pairs = [...text.matchAll(/([\w-]+):(\d{1,16})(,|$)/g)]
  if (pairs.map(([pair]) => pair).join('') !== text) return text
  return Object.fromEntries(pairs.map(([, c, seq]) => [c, Number(seq)]))
}

/** The request that the parameters of a route stand for. Unknown ones are ignored; whether it is a good one, the request's own check says. */
export const requestOfQuery = (
  t: 'history' | 'inbox' | 'undelivered' | 'search',
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

/** The object of a body. Throws ConfabError BAD_REQUEST. */
export const objectOfBody = (body: Buffer): Fields => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    value = undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ConfabError('BAD_REQUEST', 'The body has to be one JSON object, in UTF-8.')
  return value as Fields
}
