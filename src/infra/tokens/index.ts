export { signDevToken } from './sign-dev-token.ts'
export { createTokenVerifier, type TokenOptions } from './token-verifier.ts'
