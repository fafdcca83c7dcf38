import { SignJWT } from 'jose'

/** The claim `confab_role` of a token that may send admin requests. */
export const adminRole = 'admin'

const defaultLifetimeSeconds = 30 * 24 * 3600

/**
 * Signs an HS256 token for a user. For development, tests and the command line: in production, the service that knows
 * the users signs tokens.
 */
export const signDevToken = async (
  secret: string,
  user: string,
  options: { expiresInSeconds?: number; role?: string | undefined } = {},
): Promise<string> =>
  await new SignJWT(options.role === undefined ? {} : { confab_role: options.role })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + (options.expiresInSeconds ?? defaultLifetimeSeconds))
    .sign(new TextEncoder().encode(secret))
