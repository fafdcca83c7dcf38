import { randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { claimOfUserId } from '../../events/index.ts'
import { defaultTokenOptions, devLifetimeSeconds, type TokenOptions } from './options.ts'

/** The claim `confab_role` of a token that may send admin requests. */
export const adminRole = 'admin'

export interface DevTokenOptions extends Pick<TokenOptions, 'audience' | 'issuer' | 'userClaim'> {
  /** Default: 30 days, or `maxLifetimeMs` if that is less. */
  readonly expiresInSeconds?: number
  readonly maxLifetimeMs?: number
  /** The claim `confab_role`. */
  readonly role?: string | undefined
}

/**
 * Signs an HS256 token for a user, with the claims that a verifier of the same options requires. Each token is unique.
 * For development, tests and the command line: in production, the service that knows the users signs tokens.
 */
export const signDevToken = async (
  secret: string,
  user: string,
  options: DevTokenOptions = {},
): Promise<string> => {
  const { audience, issuer, userClaim, maxLifetimeMs } = { ...defaultTokenOptions, ...options }
  const now = Math.floor(Date.now() / 1000)
  const token = new SignJWT({
    [userClaim]: claimOfUserId(user),
    ...(options.role === undefined ? {} : { confab_role: options.role }),
  })
    .setProtectedHeader({ alg: 'HS256' })
    .setJti(randomUUID())
    .setIssuedAt(now)
    .setExpirationTime(now + (options.expiresInSeconds ?? devLifetimeSeconds({ maxLifetimeMs })))
  if (audience?.[0] !== undefined) token.setAudience(audience[0])
  if (issuer?.[0] !== undefined) token.setIssuer(issuer[0])
  return await token.sign(new TextEncoder().encode(secret))
}
