import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import { LRUCache } from 'lru-cache'
import type { Identity, TokenVerifier } from '../../edge/ports/token-verifier.ts'
import { ConfabError, userIdOfClaim } from '../../events/index.ts'
import { defaultTokenOptions, type TokenConfig, type TokenOptions, tokenProblems } from './options.ts'
import { remoteKeySet } from './remote-key-set.ts'

/** Characters of a token above which the server does not look at it: as many as `hello` may have. */
const maxChars = 8_192

const unauthenticated = (why: string, cause?: unknown): ConfabError =>
  new ConfabError('UNAUTHENTICATED', `The token is not valid: ${why}.`, { cause })

/** Says why a token is not valid, without its content. Undefined: the keys are not available. */
const reasonOf = (error: unknown): string | undefined => {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.reason === 'missing'
      ? `it has no claim ${error.claim}`
      : `its claim ${error.claim} is not valid`
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
  /** Each is tried in turn, until a signature matches. */
  readonly keys: readonly JWTVerifyGetKey[]
}

/** Returns a source for HS256 with shared secrets. */
const secretSource = async (secrets: readonly string[]): Promise<KeySource> => {
  // Import the keys once; jose would import raw bytes again for every token.
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const keys = await Promise.all(
    secrets.map(secret =>
      crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, ['verify']),
    ),
  )
  return { algorithms: ['HS256'], keys: keys.map(key => async () => key) }
}

/** Algorithms with public keys: a secret key in the set is never used, whatever the header of a token says. */
const publicAlgorithms = ['EdDSA', 'Ed25519', 'ES256', 'RS256']

/**
 * Returns a source for EdDSA, ES256 and RS256 with the keys of a JWKS. The type of a key determines its algorithm. A
 * file is read once. Rejects when the file cannot be read or is not a key set.
 */
const jwksSource = async (
  where: string,
  config: TokenConfig,
  onNotice: (notice: string) => void,
): Promise<KeySource> => {
  if (/^https?:\/\//.test(where)) {
    const url = new URL(where)
    const failed = (error: unknown): void =>
      onNotice(`the key set of ${url.host} was not fetched: ${(error as Error).message}`)
    return { algorithms: publicAlgorithms, keys: [remoteKeySet(url, config, failed)] }
  }
  const text = await readFile(where, 'utf8')
  try {
    return { algorithms: publicAlgorithms, keys: [createLocalJWKSet(JSON.parse(text) as JSONWebKeySet)] }
  } catch (error) {
    throw new Error(`${where} is not a JSON Web Key Set`, { cause: error })
  }
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** Characters of the hash that identifies a token: 126 bits. */
const identityChars = 21

/**
 * Verifies JWTs (RFC 7519). Each kind of key accepts its own algorithms only, so that a token cannot choose how its
 * signature is checked.
 */
class JwtVerifier implements TokenVerifier {
  readonly #sources: readonly KeySource[]
  readonly #config: TokenConfig
  /** In seconds. */
  readonly #tolerance: number
  /** Identities by the hash of their token: a memory dump of the cache holds no tokens. */
  readonly #verified: LRUCache<string, Identity>

  constructor(sources: readonly KeySource[], config: TokenConfig) {
    this.#sources = sources
    this.#config = config
    this.#tolerance = config.clockToleranceMs / 1000
    this.#verified = new LRUCache({ max: config.cachedTokens, ttl: config.cachedMs })
  }

  async verify(token: string): Promise<Identity> {
    if (token.length > maxChars) throw unauthenticated(`it has more than ${maxChars} characters`)
    const hash = hashOf(token)
    const cached = this.#verified.get(hash)
    if (cached !== undefined && this.#isCurrent(cached)) return cached
    const identity = this.#identityOf(token, await this.#verifiedClaims(token))
    this.#verified.set(hash, identity)
    return identity
  }

  #isCurrent({ expiresAt }: Identity): boolean {
    return expiresAt === 0 || expiresAt + this.#tolerance > Date.now() / 1000
  }

  async #verifiedClaims(token: string): Promise<JWTPayload> {
    const { algorithms, keys } = this.#sourceOf(token)
    const { audience, issuer, requireExpiry } = this.#config
    const options: JWTVerifyOptions = {
      algorithms: [...algorithms],
      clockTolerance: this.#tolerance,
      requiredClaims: requireExpiry ? ['exp'] : [],
      ...(audience === undefined ? {} : { audience: [...audience] }),
      ...(issuer === undefined ? {} : { issuer: [...issuer] }),
    }
    for (const [index, key] of keys.entries())
      try {
        return (await jwtVerify(token, key, options)).payload
      } catch (error) {
        const isLast = index === keys.length - 1
        if (!isLast && error instanceof errors.JWSSignatureVerificationFailed) continue
        const reason = reasonOf(error)
        if (reason !== undefined) throw unauthenticated(reason, error)
        throw new ConfabError('UNAVAILABLE', 'The keys that verify tokens are not available. Try again.', {
          cause: error,
        })
      }
    throw unauthenticated('its key is not known')
  }

  /** Checks the claims that jose does not know. */
  #identityOf(token: string, payload: JWTPayload): Identity {
    const { userClaim, maxLifetimeMs } = this.#config
    const { exp = 0, iat = 0, [userClaim]: claim } = payload
    const user = typeof claim === 'string' ? userIdOfClaim(claim) : undefined
    if (user === undefined) throw unauthenticated(`its claim ${userClaim} has no user id`)
    const now = Date.now() / 1000
    if (iat > now + this.#tolerance) throw unauthenticated('its iat is in the future')
    const lifetime = Math.max(exp - now - this.#tolerance, iat === 0 ? 0 : exp - iat)
    if (exp !== 0 && lifetime > maxLifetimeMs / 1000) throw unauthenticated('its lifetime is too long')
    // Over the signed part only: the bytes of some signatures can be changed so that they still match.
    const signed = token.slice(0, token.lastIndexOf('.'))
    const role = typeof payload.confab_role === 'string' ? payload.confab_role : undefined
    return { user, role, expiresAt: exp, issuedAt: iat, token: hashOf(signed).slice(0, identityChars) }
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

export interface TokenVerifierEvents {
  /** Receives facts for the log, such as the reason of a failed fetch of keys. */
  readonly onNotice?: (notice: string) => void
}

/**
 * Creates a verifier for secrets, a key set, or both. Rejects when the file of the key set cannot be read, and for
 * options that contradict each other.
 */
export const createTokenVerifier = async (
  options: TokenOptions,
  { onNotice = () => {} }: TokenVerifierEvents = {},
): Promise<TokenVerifier> => {
  const config = { ...defaultTokenOptions, ...options }
  // The configuration has checked `jwt.requireExpiry` against `--dev`.
  const [problem] = tokenProblems(config, { dev: true })
  if (problem !== undefined) throw new Error(problem)
  const sources: KeySource[] = []
  const secrets = [config.secret, config.previousSecret].filter(secret => secret !== undefined)
  if (secrets.length > 0) sources.push(await secretSource(secrets))
  if (config.jwks !== undefined) sources.push(await jwksSource(config.jwks, config, onNotice))
  return new JwtVerifier(sources, config)
}
