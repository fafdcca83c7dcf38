import { Limits } from '../../events/index.ts'
import { matcherOf } from './search-matches.ts'
import { type Phrase, wordsOf } from './search-words.ts'

/**
 * Texts up to this length, in UTF-16 units, are shown whole. From longer ones an excerpt of about this length around
 * the first match is shown.
 */
const excerptLength = 300
const lead = 80

/** Characters of texts after which a page of hits ends, with at least one hit: no answer has room for more. */
export const pageChars = Limits.frameBytes

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, character => escapes[character] ?? character)

/**
 * Prepares highlighting for the phrases of a query. The result returns the matching part of a text, HTML-escaped, with
 * matches in `<mark>`. Uses the same word rules as the index. A match that is longer than the excerpt is cut off with
 * it.
 */
export const highlighterOf = (phrases: readonly Phrase[]): ((text: string) => string) => {
  const matchesIn = matcherOf(phrases)
  return text => {
    const spans = matchesIn(wordsOf(text))
    let span = spans.next().value
    const [from, to] = excerptOf(text, span?.start ?? 0)
    let html = from > 0 ? '…' : ''
    let at = from
    // Matches after the excerpt are not looked at.
    for (; span !== undefined && span.start < to; span = spans.next().value) {
      html += escapeHtml(text.slice(at, span.start))
      at = Math.min(span.end, to)
      html += `<mark>${escapeHtml(text.slice(span.start, at))}</mark>`
    }
    html += escapeHtml(text.slice(at, to))
    return to < text.length ? `${html}…` : html
  }
}

/** Returns the bounds of the excerpt; never splits a surrogate pair. */
const excerptOf = (text: string, first: number): [from: number, to: number] => {
  if (text.length <= excerptLength) return [0, text.length]
  const whole = (at: number) => (at < text.length && /[\udc00-\udfff]/.test(text[at] ?? '') ? at - 1 : at)
  const from = whole(Math.max(0, Math.min(first - lead, text.length - excerptLength)))
  return [from, whole(Math.min(text.length, from + excerptLength))]
}
