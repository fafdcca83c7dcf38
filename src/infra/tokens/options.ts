import { resolve } from 'node:path'
import { defaultsOf, type OptionType, option, type ValuesOf } from '../../base/option.ts'
import {
  boolean,
  days,
  duration,
  hours,
  integer,
  list,
  minutes,
  seconds,
  text,
} from '../../base/option-types.ts'
import { signingSecret } from './signing-secret.ts'

export { signingSecret }

const fileOrUrl: OptionType<string> = {
  name: 'path or URL',
  parse: (raw, base) => {
    const value = text.parse(raw, base)
    return /^https?:\/\//.test(value) ? value : resolve(base, value)
  },
}

/** How the server checks tokens. */
export const tokenOptions = {
  secret: option({
    key: 'jwt.secret',
    type: signingSecret,
    secret: true,
    doc: 'Secret of HS256 tokens. A development server has its own, a random one in the data folder.',
  }),
  previousSecret: option({
    key: 'jwt.previousSecret',
    type: signingSecret,
    secret: true,
    doc: 'Second secret that verifies HS256 tokens, with the same rules. Keep the old secret here while `jwt.secret` replaces it.',
  }),
  jwks: option({
    key: 'jwt.jwks',
    env: 'CONFAB_JWKS',
    type: fileOrUrl,
    secret: 'url',
    doc: 'File or URL of the JSON Web Key Set of EdDSA, ES256 and RS256 tokens. A URL needs https. A file is read once.',
  }),
  jwksInsecure: option({
    key: 'jwt.jwksInsecure',
    type: boolean,
    default: false,
    doc: 'Accepts an http URL in `jwt.jwks`: a host on the way can then replace the keys and sign in as any user.',
  }),
  jwksTimeoutMs: option({
    key: 'jwt.jwksTimeout',
    type: duration(100, minutes),
    default: 5 * seconds,
    doc: 'Time within which the whole key set has to arrive.',
  }),
  jwksRefreshMs: option({
    key: 'jwt.jwksRefresh',
    type: duration(seconds, 24 * hours),
    default: 10 * minutes,
    doc: 'Age at which the server fetches the key set of a URL again. It keeps the last set when that fails.',
  }),
  jwksCooldownMs: option({
    key: 'jwt.jwksCooldown',
    type: duration(0, hours),
    default: 30 * seconds,
    doc: 'Shortest time between two fetches of the key set that tokens of an unknown key cause.',
  }),
  audience: option({
    key: 'jwt.audience',
    type: list(text),
    doc: 'Accepted audiences: the claim `aud` of a token must name one. Not given: `aud` is not checked.',
  }),
  issuer: option({
    key: 'jwt.issuer',
    type: list(text),
    doc: 'Accepted issuers: the claim `iss` of a token must be one. Not given: `iss` is not checked.',
  }),
  userClaim: option({
    key: 'jwt.userClaim',
    type: text,
    default: 'sub',
    doc: 'Claim that names the user. A text that is not a valid id is escaped.',
  }),
  maxLifetimeMs: option({
    key: 'jwt.maxLifetime',
    type: duration(minutes, 366 * days),
    default: 30 * days,
    doc: 'Longest lifetime of a token, from `iat`, and from now, to `exp`. Revocations are stored for this time.',
  }),
  requireExpiry: option({
    key: 'jwt.requireExpiry',
    type: boolean,
    default: true,
    doc: 'Refuses tokens without `exp`. `false` only with `--dev`.',
  }),
  clockToleranceMs: option({
    key: 'jwt.clockTolerance',
    type: duration(0, hours),
    default: 5 * seconds,
    doc: 'Difference of clocks that the server accepts when it checks when a token was issued, becomes valid or expires.',
  }),
  cachedTokens: option({
    key: 'jwt.cachedTokens',
    type: integer(1, 10_000_000),
    default: 10_000,
    unit: 'tokens',
    doc: 'Verified tokens that the server remembers.',
  }),
  cachedMs: option({
    key: 'jwt.cachedFor',
    type: duration(seconds, hours),
    default: minutes,
    doc: 'Time that the server remembers a verified token, at most until the token expires.',
  }),
} as const

export type TokenConfig = ValuesOf<typeof tokenOptions>

/** The options of a verifier; those not given have their defaults. */
export type TokenOptions = Partial<TokenConfig>

export const defaultTokenOptions: TokenConfig = defaultsOf(tokenOptions)

/** Returns what is wrong with options that depend on each other, each as `<key>: <reason>`. */
export const tokenProblems = (
  { jwks, jwksInsecure, requireExpiry }: TokenOptions,
  { dev }: { readonly dev: boolean },
): string[] => [
  ...(jwks?.startsWith('http://') && jwksInsecure !== true
    ? ['jwt.jwks: must be an https URL or a file (or set jwt.jwksInsecure, on a network that you trust)']
    : []),
  ...(requireExpiry === false && !dev ? ['jwt.requireExpiry: false is accepted with --dev only'] : []),
]

/** Lifetime of a token for development, seconds: 30 days, or the longest that the server accepts. */
export const devLifetimeSeconds = ({ maxLifetimeMs }: Pick<TokenConfig, 'maxLifetimeMs'>): number =>
  Math.floor(Math.min(30 * days, maxLifetimeMs) / seconds)
