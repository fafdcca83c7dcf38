import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../../base/logger.ts'
import { Shares } from '../../../base/shares.ts'
import { ConfabError } from '../../../events/index.ts'
import { contentDisposition, type LocalTransfers, type Media, noMedia } from '../../../media/index.ts'
import type { Access } from '../../access/access.ts'
import type { ConversationReader } from '../../catch-up/conversation-reader.ts'
import type { Quotas } from '../../limits/quotas.ts'
import type { StorageReserve } from '../../limits/storage-reserve.ts'
import { visibleError } from '../../requests/answers.ts'
import { uploadAnswer } from '../../requests/media.ts'
import { peerOf } from '../listen.ts'
import type { AnswerPolicy } from './answer-headers.ts'
import type { HeaderList } from './cors.ts'
import { type CallerParts, Exchange } from './http-exchange.ts'
import { addRoute } from './routes.ts'

export interface MediaParts extends CallerParts {
  readonly media: Media
  readonly access: Access
  readonly reader: ConversationReader
  readonly admission: { user(user: string, bytes: number, now: number): unknown }
  readonly quotas: Pick<Quotas, 'uploadEnded'>
  readonly reserve: Pick<StorageReserve, 'requireForMedia'>
  readonly logger: Logger
  readonly policy: AnswerPolicy
}

/** Headers of a user's file. Browsers may show it, but must not run scripts in it: it has this server's origin. */
const fileHeaders: HeaderList = [
  ['accept-ranges', 'bytes'],
  ['cache-control', 'private, max-age=31536000, immutable'],
  ['content-security-policy', "sandbox; default-src 'none'"],
]

/**
 * The HTTP routes of uploads and downloads. They carry the bytes as well when the media store has no server of its own.
 * Every route authenticates the client, by token or signed URL, before it reads a body.
 */
export class MediaRoutes {
  readonly #parts: MediaParts
  readonly #underWay: Shares

  constructor(parts: MediaParts) {
    this.#parts = parts
    const { transfers, addressTransfers } = parts.media.limits
    this.#underWay = new Shares({ total: transfers, share: addressTransfers })
  }

  register(app: TemplatedApp): void {
    const { media, access, reader, quotas } = this.#parts
    const { local } = media
    if (local !== undefined) this.#transfers(app, local)
    addRoute(app, 'get', '/v1/media/:id', (res, req) => {
      this.#handle(res, req, async exchange => {
        const user = await this.#user(exchange)
        const id = exchange.pathId(0)
        exchange.json(200, { ok: true, ...uploadAnswer(await media.upload(user, id)) })
      })
    })
    addRoute(app, 'post', '/v1/media/:id/complete', (res, req) => {
      this.#handle(res, req, async exchange => {
        const user = await this.#user(exchange)
        const id = exchange.pathId(0)
        const verified = media.complete(user, id, () => quotas.uploadEnded(user)).then(() => true)
        const isOver = await Promise.race([verified, sleep(media.limits.verifyWaitMs, false, { ref: false })])
        // The verification continues. The client asks again for its result.
        if (!isOver) verified.catch(() => {})
        exchange.json(isOver ? 200 : 202, { ok: true, mediaId: id, verified: isOver })
      })
    })
    addRoute(app, 'get', '/v1/conversations/:c/media/:id', (res, req) => {
      this.#handle(res, req, async exchange => {
        const user = await this.#user(exchange)
        const c = exchange.pathId(0)
        const id = exchange.pathId(1)
        const asked = await access.readable(c, user)
        const { url, lifeMs } = await media.download(c, id)
        const isNamed = await reader.hasMedia(asked, id)
        // The user may have been removed during the read.
        const { first } = await access.readable(c, user)
        // A file that no message of the views names, from an earlier version, is of unknown age.
        if (!(isNamed ?? first === 1)) throw noMedia('/mediaId')
        if (exchange.query.get('redirect') === 'false') exchange.json(200, { ok: true, url, lifeMs })
        else
          exchange.end(302, '', [
            ['location', url],
            ['cache-control', 'no-store'],
          ])
      })
    })
  }

  /** Authenticates the client and counts its request. Transfers do not count: their URLs are signed. */
  async #user(exchange: Exchange): Promise<string> {
    const { user } = await exchange.caller(this.#parts)
    this.#parts.admission.user(user, 0, performance.now())
    return user
  }

  #transfers(app: TemplatedApp, local: LocalTransfers): void {
    const { reserve } = this.#parts
    addRoute(app, 'put', '/v1/media/transfer', (res, req) => {
      this.#transfer(res, req, async exchange => {
        reserve.requireForMedia()
        await local.put(exchange.query, exchange.body.size, exchange.body)
        exchange.json(200, { ok: true })
      })
    })
    addRoute(app, 'get', '/v1/media/transfer', (res, req) => {
      const range = req.getHeader('range')
      this.#transfer(res, req, async exchange => {
        const file = await local.get(exchange.query)
        const { size } = file
        const headers: HeaderList = [
          ['content-type', file.type],
          ['content-disposition', contentDisposition(file)],
          ...fileHeaders,
        ]
        // Ranges apply to GET only (RFC 9110, 14.2).
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

  /** Handles a transfer, which lasts as long as its client wants, within the share of the client's address. */
  #transfer(res: HttpResponse, req: HttpRequest, handle: (exchange: Exchange) => Promise<void>): void {
    const address = this.#parts.addresses.keyOf(peerOf(res), req.getHeader('x-forwarded-for'))
    this.#handle(res, req, async exchange => {
      const refused = this.#underWay.take(address)
      if (refused !== undefined)
        throw new ConfabError(
          'OVERLOADED',
          refused === 'share'
            ? 'This address has too many transfers at the same time. Wait for some of them.'
            : 'This node has too many transfers at the same time. Retry later.',
          { retryAfterMs: 1_000 },
        )
      try {
        await handle(exchange)
      } finally {
        this.#underWay.release(address)
      }
    })
  }

  #handle(res: HttpResponse, req: HttpRequest, handle: (exchange: Exchange) => Promise<void>): void {
    const { policy, logger } = this.#parts
    const exchange = new Exchange(res, req, policy)
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
 * Returns the bytes of a header `Range`: `from` inclusive, `to` exclusive (RFC 9110, 14.2). Undefined, for the whole
 * file, without a range, and for several or invalid ranges; `none` when the file has no such bytes.
 */
const rangeOf = (
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
