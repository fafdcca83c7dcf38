/** The user that a token authenticates. */
export interface Identity {
  readonly user: string
  /** Seconds since 1970; 0 when the token does not expire. */
  readonly expiresAt: number
  /** The claim `confab_role`: `admin` for a token that may send admin requests. */
  readonly role?: string | undefined
}

/** Port: verifies tokens. src/infra/tokens implements it. */
export interface TokenVerifier {
  /** Rejects with ConfabError: UNAUTHENTICATED for an invalid token, UNAVAILABLE when the keys cannot be fetched. */
  verify(token: string): Promise<Identity>
}
