import { createHash } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Identity, TokenVerifier } from '../../edge/ports/token-verifier.ts'
import { ConfabError, isId } from '../../events/index.ts'
import { jwksSource, type KeySource, secretSource } from './key-source.ts'

export interface TokenOptions {
  /** Of HS256 tokens. */
  readonly secret?: string
  /** File or URL of the key set of EdDSA and RS256 tokens. */
  readonly jwks?: string
}

/** How far clocks may differ, seconds. */
const clockTolerance = 5
/** Tokens whose verification is remembered, and for how long, ms. */
const cached = 10_000
const cachedMs = 60_000

const unauthenticated = (why: string, cause?: unknown): ConfabError =>
  new ConfabError('UNAUTHENTICATED', `The token is not good: ${why}.`, { cause })

/** What is wrong with a token, in words that hold nothing of it. */
const reason = (error: unknown): string | undefined => {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} does not hold`
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature does not match'
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'its key is not known'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not accepted here'
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return undefined
  if (error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC') return 'it is malformed'
  return undefined
}

const isAlive = ({ expiresAt }: Identity): boolean =>
  expiresAt === 0 || expiresAt + clockTolerance > Date.now() / 1000

/** JWTs (RFC 7519), each kind of key with its own algorithms only, so that a token cannot choose how its signature is checked. */
class JwtVerifier implements TokenVerifier {
  readonly #sources: readonly KeySource[]
  /** By hash, so that a memory dump of the cache has no tokens. */
  readonly #known = new LRUCache<string, Identity>({ max: cached, ttl: cachedMs })

  constructor(sources: readonly KeySource[]) {
    this.#sources = sources
  }

  async verify(token: string): Promise<Identity> {
    const hash = createHash('sha256').update(token).digest('base64')
    const known = this.#known.get(hash)
    if (known !== undefined && isAlive(known)) return known
    const identity = await this.#check(token)
    this.#known.set(hash, identity)
    return identity
  }

  async #check(token: string): Promise<Identity> {
    const source = this.#sourceOf(token)
    try {
      const { payload } = await jwtVerify(token, source.key, {
        algorithms: [...source.algorithms],
        clockTolerance,
      })
      if (!isId(payload.sub)) throw unauthenticated('its sub is no user id')
      return { user: payload.sub, expiresAt: payload.exp ?? 0 }
    } catch (error) {
      if (ConfabError.is(error)) throw error
      const why = reason(error)
      if (why !== undefined) throw unauthenticated(why, error)
      throw new ConfabError(
        'UNAVAILABLE',
        'The keys that tokens are checked with cannot be had; try again.',
        {
          cause: error,
        },
      )
    }
  }

  #sourceOf(token: string): KeySource {
    let algorithm: string | undefined
    try {
      algorithm = decodeProtectedHeader(token).alg
    } catch (error) {
      throw unauthenticated('it is malformed', error)
    }
    const source = this.#sources.find(({ algorithms }) => algorithms.includes(algorithm ?? ''))
    if (source === undefined) throw unauthenticated('its algorithm is not accepted here')
    return source
  }
}

/** Checks tokens by a secret, a key set, or either. Rejects when the key set's file cannot be read. */
export const createTokenVerifier = async (options: TokenOptions): Promise<TokenVerifier> => {
  const sources: KeySource[] = []
  if (options.secret !== undefined) sources.push(await secretSource(options.secret))
  if (options.jwks !== undefined) sources.push(await jwksSource(options.jwks))
  return new JwtVerifier(sources)
}
