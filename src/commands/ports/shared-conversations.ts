/**
 * Finds the conversations that two users share. Complete for conversations from before the process has started; later
 * ones may be missing. Rejects with ConfabError UNAVAILABLE while it is not complete. Port.
 */
export interface SharedConversations {
  of(user: string, other: string): Promise<readonly string[]>
}
