/** When users were last here. Port. */
export interface LastSeenStore {
  /** Users, and when each was here, ms since 1970; a later time that is there stays. Rejects when some are not stored, nobody knows which. */
  note(seen: ReadonlyMap<string, number>): Promise<void>
  /** Of those that it knows of. */
  of(users: readonly string[]): Promise<ReadonlyMap<string, number>>
}
