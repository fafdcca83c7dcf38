import { RequestError, type RequestErrorBody } from './request-error.ts'

export interface HttpOptions {
  /** The socket's address: the routes are beside it. */
  readonly url: string
  readonly token: string | (() => string | Promise<string>)
}

/** The server's routes, with the client's token. */
export interface Http {
  /** A path of the server as a whole URL; one that is whole stays. */
  resolve(url: string): string
  /** The answer, of status 2xx. Rejects with RequestError, retryable when nothing came. */
  json<T>(method: 'GET' | 'POST', path: string, signal?: AbortSignal): Promise<T & { status: number }>
}

const lost: RequestErrorBody = {
  code: 'UNAVAILABLE',
  message: 'The server cannot be reached.',
  retryable: true,
}

export const createHttp = ({ url, token: source }: HttpOptions): Http => {
  const origin = url.replace(/^ws/, 'http')
  const resolve = (path: string): string => new URL(path, origin).href
  let token: Promise<string> | undefined
  const call = async (method: string, path: string, signal: AbortSignal | undefined): Promise<Response> => {
    token ??= Promise.resolve(typeof source === 'string' ? source : source())
    try {
      const headers = { authorization: `Bearer ${await token}` }
      return await fetch(resolve(path), { method, headers, ...(signal === undefined ? {} : { signal }) })
    } catch (error) {
      if (signal?.aborted) throw error
      token = undefined
      throw new RequestError(lost)
    }
  }
  return {
    resolve,
    json: async <T>(method: 'GET' | 'POST', path: string, signal?: AbortSignal) => {
      let answer = await call(method, path, signal)
      if (answer.status === 401 && typeof source === 'function') {
        // It was good when it was fetched: a fresh one, once.
        token = undefined
        answer = await call(method, path, signal)
      }
      const body = (await answer.json().catch(() => ({}))) as { error?: RequestErrorBody }
      if (!answer.ok) throw new RequestError(body.error ?? lost)
      return { ...(body as T), status: answer.status }
    },
  }
}
