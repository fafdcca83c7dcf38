import { RequestError, type RequestErrorBody } from './request-error.ts'

export interface HttpOptions {
  /** The socket's address. HTTP routes have the same origin. */
  readonly url: string
  readonly token: string | (() => string | Promise<string>)
}

/** Calls the server's HTTP routes with the client's token. */
export interface Http {
  /** Resolves a path against the server's origin; absolute URLs stay as they are. */
  resolve(url: string): string
  /** Returns the body of a 2xx answer. Rejects with RequestError; retryable when no answer arrived. */
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
        // The token may have expired since it was fetched: retry once with a fresh one.
        token = undefined
        answer = await call(method, path, signal)
      }
      const body = (await answer.json().catch(() => ({}))) as { error?: RequestErrorBody }
      if (!answer.ok) throw new RequestError(body.error ?? lost)
      return { ...(body as T), status: answer.status }
    },
  }
}
