/** The user and the validity of a verified token. */
export interface Identity {
  readonly user: string
  /** Seconds since 1970; 0 when the token does not expire. */
  readonly expiresAt: number
  /** The claim `confab_role`: `admin` for a token that may send admin requests. */
  readonly role?: string | undefined
  /** Seconds since 1970; 0 when the token does not say it. Then it counts as issued before any revocation. */
  readonly issuedAt: number
  /** A hash of the signed part of the token: the same for the same token, whatever its signature. */
  readonly token: string
}

/** Port: verifies tokens. src/infra/tokens implements it. */
export interface TokenVerifier {
  /** Rejects with ConfabError: UNAUTHENTICATED for an invalid token, UNAVAILABLE when the keys cannot be fetched. */
  verify(token: string): Promise<Identity>
}
