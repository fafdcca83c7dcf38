import type { Phrase } from './search-words.ts'
import { type Word, wordsOf } from './search-words.ts'

interface Span {
  start: number
  end: number
}

/**
 * Texts up to this length, in UTF-16 units, are shown whole. From longer ones an excerpt of about this length around
 * the first match is shown.
 */
const excerptLength = 300
const lead = 80

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
 * Returns the matching part of a text, HTML-escaped, with matches in `<mark>`. Uses the same word rules as the index.
 */
export const highlight = (text: string, phrases: readonly Phrase[]): string => {
  const spans = matchesIn(wordsOf(text), phrases)
  const [from, to] = excerptOf(text, spans[0]?.start ?? 0)
  let html = from > 0 ? '…' : ''
  let at = from
  for (const { start, end } of spans) {
    if (start < from) continue
    if (end > to) break
    html += `${escapeHtml(text.slice(at, start))}<mark>${escapeHtml(text.slice(start, end))}</mark>`
    at = end
  }
  html += escapeHtml(text.slice(at, to))
  return to < text.length ? `${html}…` : html
}

/** Whether a text contains all phrases. */
export const holdsAll = (text: string, phrases: readonly Phrase[]): boolean => {
  const words = wordsOf(text)
  return phrases.every(phrase => matchesIn(words, [phrase]).length > 0)
}

const matchesIn = (words: readonly Word[], phrases: readonly Phrase[]): Span[] => {
  const spans: Span[] = []
  for (const phrase of phrases) {
    const { length } = phrase.words
    for (let i = 0; i + length <= words.length; i++) {
      const [first, last] = [words[i], words[i + length - 1]]
      if (first !== undefined && last !== undefined && phraseAt(words, i, phrase))
        spans.push({ start: first.start, end: last.end })
    }
  }
  return merge(spans)
}

const phraseAt = (words: readonly Word[], at: number, { words: wanted, prefix }: Phrase): boolean =>
  wanted.every((word, i) => {
    const folded = words[at + i]?.folded
    return prefix && i === wanted.length - 1 ? folded?.startsWith(word) === true : folded === word
  })

const merge = (spans: Span[]): Span[] => {
  spans.sort((a, b) => a.start - b.start)
  const merged: Span[] = []
  for (const span of spans) {
    const last = merged.at(-1)
    if (last !== undefined && span.start <= last.end) last.end = Math.max(last.end, span.end)
    else merged.push(span)
  }
  return merged
}

/** Returns the bounds of the excerpt; never splits a surrogate pair. */
const excerptOf = (text: string, first: number): [from: number, to: number] => {
  if (text.length <= excerptLength) return [0, text.length]
  const whole = (at: number) => (at < text.length && /[\udc00-\udfff]/.test(text[at] ?? '') ? at - 1 : at)
  const from = whole(Math.max(0, Math.min(first - lead, text.length - excerptLength)))
  // A match longer than the excerpt is cut off and not marked.
  return [from, whole(Math.min(text.length, from + excerptLength))]
}
