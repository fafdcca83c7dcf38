import { resolve } from 'node:path'
import { defaultsOf, type OptionType, option, type ValuesOf } from '../../base/option.ts'
import { duration, hours, integer, minutes, seconds, text } from '../../base/option-types.ts'
import { signingSecret } from './signing-secret.ts'

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
  jwks: option({
    key: 'jwt.jwks',
    env: 'CONFAB_JWKS',
    type: fileOrUrl,
    secret: 'url',
    doc: 'File or URL of the JSON Web Key Set of EdDSA and RS256 tokens.',
  }),
  clockToleranceMs: option({
    key: 'jwt.clockTolerance',
    type: duration(0, hours),
    default: 5 * seconds,
    doc: 'Difference of clocks that the server accepts when it checks when a token expires or becomes valid.',
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
