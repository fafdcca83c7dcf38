import { readFile } from 'node:fs/promises'
import { createLocalJWKSet, createRemoteJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

/** One way that tokens may be signed: the algorithms that its keys are good for, and the keys. */
export interface KeySource {
  readonly algorithms: readonly string[]
  readonly key: JWTVerifyGetKey
}

/** HS256 with a shared secret. */
export const secretSource = async (secret: string): Promise<KeySource> => {
  // Imported once: from raw bytes it would be at every token.
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, [
    'verify',
  ])
  return { algorithms: ['HS256'], key: async () => key }
}

/** Public keys only; a secret key in the set is never used, whatever a token's header says. */
const publicAlgorithms = ['EdDSA', 'Ed25519', 'RS256']

/**
 * EdDSA and RS256 with the keys of a JWKS: an `http(s)://` URL, fetched when it is first needed, again every 10 minutes and when a token names an unknown key;
 * or a file, read once. Rejects when the file cannot be read or is no key set.
 */
export const jwksSource = async (where: string): Promise<KeySource> => {
  if (/^https?:\/\//.test(where))
    return { algorithms: publicAlgorithms, key: createRemoteJWKSet(new URL(where)) }
  const text = await readFile(where, 'utf8')
  try {
    return { algorithms: publicAlgorithms, key: createLocalJWKSet(JSON.parse(text) as JSONWebKeySet) }
  } catch (error) {
    throw new Error(`${where} is no JSON Web Key Set`, { cause: error })
  }
}
