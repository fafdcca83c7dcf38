import type { HttpRequest, HttpResponse, us_socket_context_t } from 'uWebSockets.js'
import { ConfabError } from '../../../events/index.ts'
import { addressKey, clientAddress, type Origin, Origins } from '../../limits/connection-limits.ts'
import type { EdgeMetrics } from '../../ports/edge-metrics.ts'
import { bearerToken } from '../../sessions/caller.ts'
import { negotiate } from '../../sessions/frames.ts'
import { Session, type SocketData } from '../../sessions/session.ts'

/** Makes sockets of requests for one, as many an address as there may be. */
export class Upgrades {
  readonly #origins: Origins
  readonly #metrics: EdgeMetrics
  readonly #helloMs: number
  readonly #trustProxy: number

  constructor(metrics: EdgeMetrics, limits: { addressSockets: number; helloMs: number; trustProxy: number }) {
    this.#metrics = metrics
    this.#origins = new Origins(limits.addressSockets)
    this.#helloMs = limits.helloMs
    this.#trustProxy = limits.trustProxy
  }

  upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const agreed = negotiate(req.getHeader('sec-websocket-protocol'))
    if (agreed === undefined) {
      res.writeStatus('400 Bad Request').end('none of these subprotocols is spoken here')
      return
    }
    let origin: Origin | undefined
    try {
      origin = this.#originOf(res, req)
    } catch (error) {
      if (!ConfabError.is(error)) throw error
      this.#metrics.limited('address_sockets')
      const seconds = Math.ceil((error.retryAfterMs ?? 0) / 1000)
      res.writeStatus('429 Too Many Requests').writeHeader('retry-after', String(seconds)).end(error.message)
      return
    }
    const deadline = Math.ceil((Date.now() + this.#helloMs) / 1000)
    const session = new Session(agreed.encoding, bearerToken(req.getHeader('authorization')), deadline)
    session.origin = origin
    res.upgrade<SocketData>(
      { session },
      req.getHeader('sec-websocket-key'),
      agreed.subprotocol,
      req.getHeader('sec-websocket-extensions'),
      context,
    )
  }

  /** Its address may have another. */
  closed({ origin }: Session): void {
    if (origin !== undefined) this.#origins.release(origin)
  }

  #originOf(res: HttpResponse, req: HttpRequest): Origin | undefined {
    if (!this.#origins.isCounting) return undefined
    const peer = Buffer.from(res.getRemoteAddressAsText()).toString('latin1')
    const forwarded = req.getHeader('x-forwarded-for')
    return this.#origins.take(addressKey(clientAddress(peer, forwarded, this.#trustProxy)))
  }
}
