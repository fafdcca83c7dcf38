import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../../base/logger.ts'
import { contentDisposition, type LocalTransfers, type Media } from '../../../media/index.ts'
import type { Access } from '../../access/access.ts'
import type { Admission } from '../../limits/admission.ts'
import type { TokenVerifier } from '../../ports/token-verifier.ts'
import { visibleError } from '../../requests/answers.ts'
import { answerOfUpload } from '../../requests/media.ts'
import { BodyStream } from './http-body.ts'
import { type CorsPolicy, callerOf, Exchange, type HeaderList } from './http-exchange.ts'
import { addRoute } from './routes.ts'

export interface MediaParts {
  readonly media: Media
  readonly access: Access
  readonly admission: Pick<Admission, 'user'>
  readonly tokens: TokenVerifier
  readonly logger: Logger
  readonly cors: CorsPolicy
}

/** A file of somebody's, on our origin: it may be looked at, but nothing in it may run. */
const asFile: HeaderList = [
  ['accept-ranges', 'bytes'],
  ['cache-control', 'private, max-age=31536000, immutable'],
  ['content-security-policy', "sandbox; default-src 'none'"],
]

/** Uploads, downloads, and the bytes of both where the store has no server of its own. */
export class MediaRoutes {
  readonly #parts: MediaParts

  constructor(parts: MediaParts) {
    this.#parts = parts
  }

  register(app: TemplatedApp): void {
    const { media, access } = this.#parts
    const { local } = media
    if (local !== undefined) this.#transfers(app, local)
    addRoute(app, 'get', '/v1/media/:id', (res, req) => {
      const id = req.getParameter(0) ?? ''
      this.#handle(res, req, async exchange => {
        const user = await this.#user(exchange)
        exchange.json(200, { ok: true, ...answerOfUpload(await media.upload(user, id)) })
      })
    })
    addRoute(app, 'post', '/v1/media/:id/complete', (res, req) => {
      const id = req.getParameter(0) ?? ''
      const body = new BodyStream(res)
      this.#handle(
        res,
        req,
        async exchange => {
          await body.drop()
          const user = await this.#user(exchange)
          const verified = media.complete(user, id).then(() => true)
          const isOver = await Promise.race([
            verified,
            sleep(media.limits.verifyWaitMs, false, { ref: false }),
          ])
          // It goes on; who asks again is told how it ended.
          if (!isOver) verified.catch(() => {})
          exchange.json(isOver ? 200 : 202, { ok: true, mediaId: id, verified: isOver })
        },
        body,
      )
    })
    addRoute(app, 'get', '/v1/conversations/:c/media/:id', (res, req) => {
      const c = req.getParameter(0) ?? ''
      const id = req.getParameter(1) ?? ''
      this.#handle(res, req, async exchange => {
        const user = await this.#user(exchange)
        await access.member(c, user)
        const { url, lifeMs } = await media.download(c, id)
        // Meanwhile the user may have been removed.
        await access.member(c, user)
        if (exchange.query.get('redirect') === 'false') exchange.json(200, { ok: true, url, lifeMs })
        else
          exchange.end(302, '', [
            ['location', url],
            ['cache-control', 'no-store'],
          ])
      })
    })
  }

  /** Who asks, when it may ask now. The bytes of files do not count: their URLs are signed. */
  async #user(exchange: Exchange): Promise<string> {
    const { user } = await callerOf(exchange, this.#parts.tokens)
    this.#parts.admission.user(user, 0, performance.now())
    return user
  }

  #transfers(app: TemplatedApp, local: LocalTransfers): void {
    addRoute(app, 'put', '/v1/media/transfer', (res, req) => {
      const length = Number(req.getHeader('content-length') || Number.NaN)
      const body = new BodyStream(res)
      this.#handle(
        res,
        req,
        async exchange => {
          try {
            await local.put(exchange.query, length, body)
          } finally {
            await body.drop()
          }
          exchange.json(200, { ok: true })
        },
        body,
      )
    })
    addRoute(app, 'get', '/v1/media/transfer', (res, req) => {
      const range = req.getHeader('range')
      this.#handle(res, req, async exchange => {
        const file = await local.get(exchange.query)
        const { size } = file
        const headers: HeaderList = [
          ['content-type', file.type],
          ['content-disposition', contentDisposition(file)],
          ...asFile,
        ]
        // Only GET has ranges (RFC 9110, 14.2).
        const part = exchange.isHead ? undefined : rangeOf(range, size)
        if (part === 'none') {
          exchange.end(416, '', [['content-range', `bytes */${size}`]])
          return
        }
        const { from, to } = part ?? { from: 0, to: size }
        const whole: HeaderList =
          part === undefined ? [] : [['content-range', `bytes ${from}-${to - 1}/${size}`]]
        await exchange.stream(
          part === undefined ? 200 : 206,
          [...headers, ...whole],
          to - from,
          file.read(from, to),
        )
      })
    })
  }

  #handle(
    res: HttpResponse,
    req: HttpRequest,
    handle: (exchange: Exchange) => Promise<void>,
    body?: BodyStream,
  ): void {
    const { cors, logger } = this.#parts
    const exchange = new Exchange(res, req, cors, () => body?.abort())
    void (async () => {
      try {
        await handle(exchange)
      } catch (error) {
        if (exchange.isOver) return
        exchange.error(visibleError(error, logger, { request: 'media' }))
      }
    })()
  }
}

/**
 * The bytes that a header `Range` asks for, from the first up to, not with, the second: RFC 9110, 14.2. Undefined when it asks for none, for several parts, or for what makes no sense: all of it is the
 * answer then. `none` when there are no such bytes.
 */
export const rangeOf = (
  header: string,
  size: number,
): { readonly from: number; readonly to: number } | 'none' | undefined => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header.trim()) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') {
    const from = Math.max(0, size - Number(last))
    return from === size ? 'none' : { from, to: size }
  }
  const from = Number(first)
  const to = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < from) return undefined
  return from >= size ? 'none' : { from, to }
}
