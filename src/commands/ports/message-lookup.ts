/** A message of a conversation, without its text. */
export interface MessageRef {
  readonly m: string
  readonly seq: number
  readonly from: string
  readonly at: string
  readonly deleted: boolean
  /** Of its `message.posted`, whatever its text is now. Undefined: recorded by a build without fingerprints. */
  readonly fingerprint?: number | undefined
}

/**
 * Finds messages older than the recent events of an aggregate. Exact: a look-up covers every event up to seq `upTo`,
 * however far the views lag, and may cover later ones. Rejects with ConfabError UNAVAILABLE when the events cannot be
 * read.
 */
export interface MessageLookup {
  find(c: string, m: string, upTo: number): Promise<MessageRef | undefined>
}

/** A view that a look-up starts from, such as the timeline. It may lag, and `head` says how far it is. */
export interface MessageIndex {
  findMessage(c: string, m: string): Promise<MessageRef | undefined>
  /** Returns the last event of a conversation that the view holds. */
  head(c: string): Promise<{ seq: number; streamSeq: number } | undefined>
}
