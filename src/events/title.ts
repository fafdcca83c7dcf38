import { isBlank } from './blank.ts'

/**
 * Control characters (line breaks, tabs and NUL among them), separators of lines and paragraphs, and the bidirectional
 * embeddings, overrides and isolates: they change the layout of the text around a title.
 */
const forbidden = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u

/** Returns the reason why a client may not set a title; undefined when it may. */
export const titleFault = (title: string): string | undefined => {
  if (isBlank(title)) return 'must not be blank'
  return forbidden.test(title)
    ? 'must not have line breaks, control characters or bidirectional overrides'
    : undefined
}
