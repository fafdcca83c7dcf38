export type { TokenOptions } from './options.ts'
export { adminRole, signDevToken } from './sign-dev-token.ts'
export { createTokenVerifier, type TokenVerifierEvents } from './token-verifier.ts'
