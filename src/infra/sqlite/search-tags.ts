import { fnv1a32 } from '../../events/index.ts'

/**
 * Filters as words of the index, so that it meets them while it walks and does not look up every message that has a word. Hashes: two ids may share one, so a
 * hit is compared with the row as well.
 */
export const conversationTag = (c: string): string => `c${fnv1a32(c).toString(36)}`
export const senderTag = (user: string): string => `u${fnv1a32(user).toString(36)}`
export const mediaTag = 'media'

export const tagsOf = (message: { c: string; sender: string; media: boolean }): string =>
  `${conversationTag(message.c)} ${senderTag(message.sender)}${message.media ? ` ${mediaTag}` : ''}`
