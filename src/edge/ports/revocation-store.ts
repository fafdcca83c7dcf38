/** Tokens that are refused from now on. */
export type Revocation =
  /** The tokens of a user that were issued before a time. */
  | { readonly of: 'user'; readonly user: string; readonly before: number }
  /** One token of a user, by `Identity.token`. */
  | { readonly of: 'token'; readonly user: string; readonly token: string }
  /** The tokens of all users that were issued before a time. `before`: ms since 1970. */
  | { readonly of: 'everyone'; readonly before: number }

/** A revocation with the time at which it was stored, ms since 1970. */
export type StoredRevocation = Revocation & { readonly at: number }

/** Port: the revocations that all edge nodes share, for as long as a token may live. src/infra/nats implements it. */
export interface RevocationStore {
  /** Stores a revocation durably. All nodes receive it, this one included. Rejects when it may not be stored. */
  put(revocation: Revocation): Promise<void>
  /**
   * Calls the listener with all stored revocations, in any order, and then with each new one. A revocation may be
   * repeated. Resolves when the stored ones have been read.
   */
  follow(listener: (revocation: StoredRevocation) => void): Promise<void>
  /** Whether this process receives the revocations at the moment. */
  readonly isCurrent: boolean
  /** Time for which a revocation is stored, ms. */
  readonly keepMs: number
  close(): void
}
