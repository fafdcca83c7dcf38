import { SignJWT } from 'jose'

/** How long a development token is good, seconds. */
const lifetime = 30 * 24 * 3600

/** An HS256 token for a user. For development, tests and the command line; production tokens come from whoever knows the users. */
export const signDevToken = async (
  secret: string,
  user: string,
  options: { expiresInSeconds?: number } = {},
): Promise<string> =>
  await new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + (options.expiresInSeconds ?? lifetime))
    .sign(new TextEncoder().encode(secret))
