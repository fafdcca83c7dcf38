import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose'
import { LRUCache } from 'lru-cache'
import type { Identity, TokenVerifier } from '../../edge/ports/token-verifier.ts'
import { ConfabError, isId } from '../../events/index.ts'
import { defaultTokenOptions, type TokenConfig, type TokenOptions } from './options.ts'

const unauthenticated = (why: string, cause?: unknown): ConfabError =>
  new ConfabError('UNAUTHENTICATED', `The token is not valid: ${why}.`, { cause })

/** Says why a token is not valid, without its content. Undefined: the keys are not available. */
const reasonOf = (error: unknown): string | undefined => {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is not valid`
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'its signature does not match'
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return 'its key is not known'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'its algorithm is not accepted here'
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return undefined
  if (error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC') return 'it is malformed'
  return undefined
}

/** Keys that verify tokens, and the algorithms that these keys accept. */
interface KeySource {
  readonly algorithms: readonly string[]
  readonly key: JWTVerifyGetKey
}

/** Returns a source for HS256 with a shared secret. */
const secretSource = async (secret: string): Promise<KeySource> => {
  // Import the key once; jose would import raw bytes again for every token.
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, [
    'verify',
  ])
  return { algorithms: ['HS256'], key: async () => key }
}

/** Algorithms with public keys: a secret key in the set is never used, whatever the header of a token says. */
const publicAlgorithms = ['EdDSA', 'Ed25519', 'RS256']

/**
 * Returns a source for EdDSA and RS256 with the keys of a JWKS. jose fetches a URL at the first token, then every 10
 * minutes and when a token names an unknown key. A file is read once. Rejects when the file cannot be read or is not a
 * key set.
 */
const jwksSource = async (where: string): Promise<KeySource> => {
  if (/^https?:\/\//.test(where))
    return { algorithms: publicAlgorithms, key: createRemoteJWKSet(new URL(where)) }
  const text = await readFile(where, 'utf8')
  try {
    return { algorithms: publicAlgorithms, key: createLocalJWKSet(JSON.parse(text) as JSONWebKeySet) }
  } catch (error) {
    throw new Error(`${where} is not a JSON Web Key Set`, { cause: error })
  }
}

/**
 * Verifies JWTs (RFC 7519). Each kind of key accepts its own algorithms only, so that a token cannot choose how its
 * signature is checked.
 */
class JwtVerifier implements TokenVerifier {
  readonly #sources: readonly KeySource[]
  readonly #clockTolerance: number
  /** Identities by the hash of their token: a memory dump of the cache holds no tokens. */
  readonly #verified: LRUCache<string, Identity>

  constructor(sources: readonly KeySource[], { clockToleranceMs, cachedTokens, cachedMs }: TokenConfig) {
    this.#sources = sources
    this.#clockTolerance = clockToleranceMs / 1000
    this.#verified = new LRUCache({ max: cachedTokens, ttl: cachedMs })
  }

  async verify(token: string): Promise<Identity> {
    const hash = createHash('sha256').update(token).digest('base64')
    const cached = this.#verified.get(hash)
    if (cached !== undefined && this.#isCurrent(cached)) return cached
    const identity = await this.#check(token)
    this.#verified.set(hash, identity)
    return identity
  }

  #isCurrent({ expiresAt }: Identity): boolean {
    return expiresAt === 0 || expiresAt + this.#clockTolerance > Date.now() / 1000
  }

  async #check(token: string): Promise<Identity> {
    const source = this.#sourceOf(token)
    try {
      const { payload } = await jwtVerify(token, source.key, {
        algorithms: [...source.algorithms],
        clockTolerance: this.#clockTolerance,
      })
      if (!isId(payload.sub)) throw unauthenticated('its sub is not a user id')
      const role = typeof payload.confab_role === 'string' ? payload.confab_role : undefined
      return { user: payload.sub, expiresAt: payload.exp ?? 0, role }
    } catch (error) {
      if (ConfabError.is(error)) throw error
      const reason = reasonOf(error)
      if (reason !== undefined) throw unauthenticated(reason, error)
      throw new ConfabError('UNAVAILABLE', 'The keys that verify tokens are not available. Try again.', {
        cause: error,
      })
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

/** Creates a verifier for a secret, a key set, or both. Rejects when the file of the key set cannot be read. */
export const createTokenVerifier = async (options: TokenOptions): Promise<TokenVerifier> => {
  const config = { ...defaultTokenOptions, ...options }
  const sources: KeySource[] = []
  if (config.secret !== undefined) sources.push(await secretSource(config.secret))
  if (config.jwks !== undefined) sources.push(await jwksSource(config.jwks))
  return new JwtVerifier(sources, config)
}
