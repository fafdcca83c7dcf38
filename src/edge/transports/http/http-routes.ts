import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { FairSemaphore } from '../../../base/fair-semaphore.ts'
import type { Logger } from '../../../base/logger.ts'
import { ConfabError, isId, Limits, type Request } from '../../../events/index.ts'
import { isDamage, type RosterCheck } from '../../access/access.ts'
import type { Admission } from '../../limits/admission.ts'
import type { UserMeter } from '../../limits/rates.ts'
import type { EdgeLimits } from '../../ports/edge-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import type { PresenceBoard } from '../../presence/index.ts'
import { damageSeenBy, visibleError } from '../../requests/answers.ts'
import type { Answerer } from '../../requests/index.ts'
import { checkRequest, isRequestType, requestId } from '../../requests/request-check.ts'
import { largeAnswers } from '../../requests/session-requests.ts'
import type { Caller } from '../../sessions/caller.ts'
import { encodeAnswer, JsonFields } from '../../sessions/frames.ts'
import type { AnswerPolicy } from './answer-headers.ts'
import { asyncApiDocument } from './asyncapi.ts'
import { type CallerParts, Exchange } from './http-exchange.ts'
import { openApiDocument } from './openapi.ts'
import { addRoute, methodsOf } from './routes.ts'

export interface HttpParts extends CallerParts {
  readonly answer: Answerer
  readonly admission: Admission
  readonly isOnRoster: RosterCheck
  readonly presence: PresenceBoard
  readonly metrics: EdgeMetrics
  readonly logger: Logger
  readonly isReady: () => Promise<boolean>
  readonly policy: AnswerPolicy
  readonly signDevToken?: (user: string) => Promise<string>
  /** For development tokens: no page may read one because all origins may call the other routes. */
  readonly devTokenPolicy: AnswerPolicy
}

type Fields = Record<string, unknown>
type Query = 'history' | 'inbox' | 'invitations' | 'undelivered' | 'search'

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
    this.#query(app, '/v1/invitations', 'invitations')
    this.#query(app, '/v1/undelivered', 'undelivered')
    this.#query(app, '/v1/search', 'search')
    this.#get(app, '/healthz', exchange => exchange.json(200, { ok: true }))
    this.#get(app, '/readyz', async exchange => {
      const ok = await this.#parts.isReady()
      exchange.json(ok ? 200 : 503, { ok })
    })
    this.#get(app, '/v1/openapi.json', exchange => exchange.json(200, openApiDocument()))
    this.#get(app, '/v1/asyncapi.json', exchange => exchange.json(200, asyncApiDocument()))
    const { signDevToken } = this.#parts
    if (signDevToken !== undefined)
      this.#get(
        app,
        '/v1/dev/token',
        async exchange => {
          const user = exchange.query.get('user')
          if (!isId(user))
            throw new ConfabError('BAD_REQUEST', 'user: expected a user id.', { field: '/user' })
          exchange.json(200, { token: await signDevToken(user) })
        },
        this.#parts.devTokenPolicy,
      )
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

  #exchange(res: HttpResponse, req: HttpRequest, policy = this.#parts.policy): Exchange {
    return new Exchange(res, req, policy)
  }

  #get(
    app: TemplatedApp,
    pattern: string,
    handle: (exchange: Exchange) => void | Promise<void>,
    policy?: AnswerPolicy,
  ): void {
    addRoute(app, 'get', pattern, (res, req) => {
      const exchange = this.#exchange(res, req, policy)
      void this.#guard(exchange, async () => await handle(exchange))
    })
  }

  /** Adds a route that answers a query with the fields of its request as parameters. */
  #query(app: TemplatedApp, pattern: string, t: Query): void {
    addRoute(app, 'get', pattern, (res, req) => {
      const exchange = this.#exchange(res, req)
      void this.#guard(exchange, async () => {
        const caller = await exchange.caller(this.#parts)
        const meter = this.#parts.admission.user(caller.user, 0, performance.now())
        const path = t === 'history' ? { c: exchange.pathId(0) } : {}
        const check = () => checkedRequest(requestOfQuery(t, exchange.query, path))
        const fields = await this.#request(check, caller, 0, meter)
        exchange.json(200, fields instanceof JsonFields ? fields.text : fields)
      })
    })
  }

  /**
   * Adds the route that answers any request in a body. The client is authenticated, and its request is counted, before
   * the body is read; only the bytes of a body in chunks, whose size is not known before, are counted afterwards.
   */
  #commands(app: TemplatedApp, pattern: string): void {
    const { admission } = this.#parts
    addRoute(app, 'post', pattern, (res, req) => {
      const exchange = this.#exchange(res, req)
      let re: string | null = null
      const handle = async (): Promise<void> => {
        const caller = await exchange.caller(this.#parts)
        const { size } = exchange.body
        const known = Number.isNaN(size) ? 0 : Math.min(size, Limits.frameBytes)
        const meter = admission.user(caller.user, known, performance.now())
        const body = await exchange.body.read(Limits.frameBytes)
        if (body.byteLength > known) admission.userBytes(meter, body.byteLength - known, performance.now())
        const value = objectOfBody(body)
        re = requestId(value)
        if (re === null) throw new ConfabError('BAD_REQUEST', 'id: expected a string.', { field: '/id' })
        const fields = await this.#request(() => checkedRequest(value), caller, body.byteLength, meter)
        exchange.json(200, encodeAnswer('json', re, fields) as string)
      }
      void this.#guard(exchange, handle, () => re)
    })
  }

  /** Answers the request that `check` returns, with a body of this size. `meter` has counted it before. */
  async #request(check: () => Request, caller: Caller, bytes: number, meter: UserMeter): Promise<object> {
    const { answer, admission, presence, metrics, logger } = this.#parts
    const started = performance.now()
    let outcome = 'ok'
    let seq: unknown
    let request: Request | undefined
    let isCounted = false
    try {
      const checked = check()
      request = checked
      admission.request(checked, caller.user, bytes, started)
      isCounted = true
      presence.actedOverHttp(caller.user, checked.t, started)
      meter.inFlight++
      try {
        const fields = await (largeAnswers.has(checked.t)
          ? this.#reads.run(caller.user, async () => await answer(checked, caller))
          : answer(checked, caller))
        if ('seq' in fields) seq = fields.seq
        return fields
      } finally {
        meter.inFlight--
      }
    } catch (thrown) {
      const { isOnRoster } = this.#parts
      const isDamaged = request !== undefined && isDamage(thrown)
      const error = isDamaged ? await damageSeenBy(thrown, request!, caller.user, isOnRoster) : thrown
      outcome = ConfabError.from(error).code
      if (isCounted && request !== undefined) admission.refused(request, caller.user, bytes, error)
      throw error
    } finally {
      const ms = performance.now() - started
      const type = request?.t ?? 'unread'
      metrics.answered(type, outcome, ms / 1000)
      const c = request !== undefined && 'c' in request ? request.c : undefined
      logger.debug({ re: request?.id, request: type, c, seq, outcome, ms }, 'answered over HTTP')
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
  if (text === '') return {}
  const pairs = text.endsWith(',') ? text.slice(0, -1) : text
  const cursors: [c: string, seq: number][] = []
  for (const pair of pairs.split(',')) {
    const [, c, seq] = /^([\w-]+):(\d{1,16})$/.exec(pair) ?? []
    if (c === undefined) return text
    cursors.push([c, Number(seq)])
  }
  return Object.fromEntries(cursors)
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
