export type { TokenOptions } from './options.ts'
export { signDevToken } from './sign-dev-token.ts'
export { createTokenVerifier } from './token-verifier.ts'
