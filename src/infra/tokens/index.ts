export type { TokenOptions } from './options.ts'
export { adminRole, signDevToken } from './sign-dev-token.ts'
export { createTokenVerifier } from './token-verifier.ts'
