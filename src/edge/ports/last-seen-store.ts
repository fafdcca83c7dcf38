/** Port: stores when each user was last connected. */
export interface LastSeenStore {
  /** Stores times in ms since 1970; a later stored time wins. Rejects when some, unknown which, were not stored. */
  note(seen: ReadonlyMap<string, number>): Promise<void>
  /** Returns the stored times of these users. Users without a stored time are missing. */
  of(users: readonly string[]): Promise<ReadonlyMap<string, number>>
}
