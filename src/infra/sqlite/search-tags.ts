import { fnv1a32 } from '../../events/index.ts'

/**
 * Filters as words of the index, so FTS5 applies them during the walk instead of looking up every hit. Tags are
 * hashes: two ids may share one, so each hit is checked against its row.
 */
export const conversationTag = (c: string): string => `c${fnv1a32(c).toString(36)}`
export const senderTag = (user: string): string => `u${fnv1a32(user).toString(36)}`
export const mediaTag = 'media'

export const tagsOf = (message: { c: string; sender: string; media: boolean }): string =>
  `${conversationTag(message.c)} ${senderTag(message.sender)}${message.media ? ` ${mediaTag}` : ''}`
