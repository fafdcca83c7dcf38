/**
 * Finds the conversations that two users share. The newest ones may be missing. Rejects with
 * ConfabError UNAVAILABLE when they cannot be read. Port.
 */
export interface SharedConversations {
  of(user: string, other: string): Promise<readonly string[]>
}
