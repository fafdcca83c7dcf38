/** Who a token speaks for. */
export interface Identity {
  readonly user: string
  /** Seconds since 1970; 0 when it does not expire. */
  readonly expiresAt: number
}

/** Port: src/infra/tokens. */
export interface TokenVerifier {
  /** Rejects with ConfabError: UNAUTHENTICATED for a token that is not good, UNAVAILABLE when the keys cannot be had. */
  verify(token: string): Promise<Identity>
}

/** The token of an `Authorization` header, or undefined. RFC 6750, 2.1. */
export const bearerToken = (header: string): string | undefined =>
  /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1]
