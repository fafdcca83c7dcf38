import { request } from 'node:http'
import { request as requestTls } from 'node:https'

export interface Probed {
  readonly status: number
  readonly body: string
}

/**
 * Asks a server of this machine how it is. Its certificate is not checked: it names the public host, and the request
 * has no secret. Rejects when the server does not answer in time, or needs a client certificate.
 */
export const probe = (url: string, timeoutMs: number): Promise<Probed> =>
  new Promise((resolve, reject) => {
    const options = { signal: AbortSignal.timeout(timeoutMs), rejectUnauthorized: false, agent: false }
    const send = url.startsWith('https:') ? requestTls : request
    send(url, options, response => {
      const chunks: Buffer[] = []
      response.on('data', chunk => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    })
      .on('error', reject)
      .end()
  })
