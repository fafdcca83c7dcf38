/** Counts by index of `quotaKinds`. */
export type QuotaCounts = readonly number[]

/** Port: the counts of all nodes. src/infra/nats implements it, with a key-value bucket. */
export interface QuotaStore {
  /**
   * Adds counts of a day (days since 1970, UTC) to those of each user, and returns the users' totals. Counts of all
   * zeros only read. Counts of a day before the stored one are dropped. Rejects when the store cannot be reached.
   */
  add(day: number, counts: ReadonlyMap<string, QuotaCounts>): Promise<ReadonlyMap<string, QuotaCounts>>
}
