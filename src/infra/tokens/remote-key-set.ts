import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import { backoffMs } from '../../base/backoff.ts'

/** Size of a key set above which the server refuses it, bytes: hundreds of keys have less. */
const maxBytes = 512 * 1024
const firstRetryMs = 1_000

export interface RemoteKeySetOptions {
  readonly jwksTimeoutMs: number
  readonly jwksRefreshMs: number
  readonly jwksCooldownMs: number
}

/** Fetches at most `maxBytes`. jose passes the timeout as a signal, and follows no redirect. */
const boundedFetch = async (
  url: string,
  options: { headers: Headers; method: 'GET'; redirect: 'manual'; signal: AbortSignal },
): Promise<Response> => {
  const response = await fetch(url, options)
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`the server answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > maxBytes) throw new Error(`the key set has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return new Response(Buffer.concat(chunks))
}

/**
 * Returns the keys of a JWKS at a URL. jose fetches and reads the set; this function decides when, so that no token
 * can cause more fetches than the options allow:
 *
 * - The first token needs a set. While there is none, fetches back off, up to the cooldown.
 * - A set that is older than `jwksRefreshMs` is fetched again in the background. The last set stays in use until then.
 * - A token with an unknown key causes a fetch at most once in `jwksCooldownMs`, whether or not the fetch succeeds.
 *
 * `onFailure` receives the reason of each failed fetch.
 */
export const remoteKeySet = (
  url: URL,
  { jwksTimeoutMs, jwksRefreshMs, jwksCooldownMs }: RemoteKeySetOptions,
  onFailure: (error: unknown) => void,
): JWTVerifyGetKey => {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: jwksTimeoutMs,
    cacheMaxAge: Number.POSITIVE_INFINITY,
    cooldownDuration: Number.POSITIVE_INFINITY,
    [customFetch]: boundedFetch,
  })
  const retry = { firstMs: firstRetryMs, maxMs: Math.max(firstRetryMs, jwksCooldownMs), jitter: 0 }
  let fetching: Promise<void> | undefined
  let hasKeys = false
  let fetchedAt = Number.NEGATIVE_INFINITY
  let attemptedAt = Number.NEGATIVE_INFINITY
  let failures = 0
  let lastError: unknown

  const fetchKeys = async (): Promise<void> => {
    attemptedAt = performance.now()
    try {
      await remote.reload()
      hasKeys = true
      fetchedAt = performance.now()
      failures = 0
    } catch (error) {
      failures++
      lastError = error
      onFailure(error)
      throw error
    } finally {
      fetching = undefined
    }
  }
  /** Fetches unless the last attempt is too recent. Returns the fetch under way, or undefined. */
  const fetchAfter = (ms: number): Promise<void> | undefined => {
    if (fetching === undefined && performance.now() - attemptedAt >= ms) fetching = fetchKeys()
    return fetching
  }
  const retryMs = (): number => (failures === 0 ? 0 : backoffMs(failures, retry))

  return async (header, token) => {
    if (!hasKeys) {
      const first = fetchAfter(retryMs())
      if (first === undefined) throw lastError
      await first
    } else if (performance.now() - fetchedAt >= jwksRefreshMs) fetchAfter(retryMs())?.catch(() => {})
    try {
      return await remote(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      const again = fetchAfter(jwksCooldownMs)
      if (again === undefined) throw error
      // When it fails, the key is still unknown.
      await again.catch(() => {})
      return await remote(header, token)
    }
  }
}
