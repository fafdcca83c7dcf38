/** Longest link that is found in a text, characters. Bounds the work for a text without spaces. */
const maxChars = 4_096

const link = /https?:\/\/[^\s<>"'`]+/iy
const sentenceEnd = '.,;:!?]}'

/**
 * Returns the length of the http(s) link that starts at an index of a text; 0 without one. Punctuation at the end of a
 * sentence is not part of a link; a closing bracket is, when the link has its opening one. Runs in linear time.
 */
export const linkLength = (text: string, at: number): number => {
  link.lastIndex = at
  const found = link.exec(text.length > at + maxChars ? text.slice(0, at + maxChars) : text)?.[0]
  if (found === undefined) return 0
  let unopened = 0
  for (const char of found)
    if (char === ')') unopened++
    else if (char === '(') unopened--
  let end = found.length
  for (; end > 0; end--) {
    const last = found[end - 1] ?? ''
    if (last === ')' && unopened > 0) unopened--
    else if (!sentenceEnd.includes(last)) break
  }
  return URL.canParse(found.slice(0, end)) ? end : 0
}
