/** Codes that Node gives errors of a handshake: of the certificates on either side, or of the protocol. */
const codes = /^ERR_(SSL|TLS)_|CERT|^UNABLE_TO_|CRL/

/** Returns the code of an error if a handshake of TLS has failed with it. Looks at its causes, too. */
export const tlsErrorCode = (error: unknown): string | undefined => {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (typeof code === 'string' && codes.test(code)) return code
  }
  return undefined
}
