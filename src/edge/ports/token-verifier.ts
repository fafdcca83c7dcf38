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
