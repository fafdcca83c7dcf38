/** Where a message stands in its conversation. */
export interface MessageRef {
  readonly m: string
  readonly seq: number
  readonly from: string
  readonly at: string
  readonly deleted: boolean
}

/**
 * Finds messages that an aggregate no longer remembers. Exact: it knows of every event up to seq `upTo`, and perhaps of later ones, however far the views lag.
 * Rejects with ConfabError UNAVAILABLE when it cannot know.
 */
export interface MessageLookup {
  find(c: string, m: string, upTo: number): Promise<MessageRef | undefined>
}

/** A view that a lookup can start from: it may lag, and says where it stands. The timeline is one. */
export interface MessageIndex {
  findMessage(c: string, m: string): Promise<MessageRef | undefined>
  /** The last event of a conversation that the view holds. */
  head(c: string): Promise<{ seq: number; streamSeq: number } | undefined>
}
