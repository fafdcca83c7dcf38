/** A piece of a text, highlighted or not. */
export interface Piece {
  readonly text: string
  readonly marked: boolean
}

const entities: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&#x27;': "'",
}

/** Splits a search hit's `highlight` at its marks and unescapes it to plain text; it is never used as HTML. */
export const highlightPieces = (highlight: string): Piece[] =>
  highlight
    .split(/(<mark>.*?<\/mark>)/s)
    .filter(part => part !== '')
    .map(part => {
      const marked = part.startsWith('<mark>') && part.endsWith('</mark>')
      const text = marked ? part.slice('<mark>'.length, -'</mark>'.length) : part
      return {
        text: text.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, entity => entities[entity] ?? entity),
        marked,
      }
    })

/** A piece of a message's text; `href` for a link. */
export interface TextPiece {
  readonly text: string
  readonly href?: string
}

const link = /https?:\/\/[^\s<>"'`]+/g

/** Finds http(s) links in a text. Punctuation at the end of a sentence is not part of a link. */
export const linkPieces = (text: string): TextPiece[] => {
  const pieces: TextPiece[] = []
  let at = 0
  for (const match of text.matchAll(link)) {
    const href = match[0].replace(/[.,;:!?)\]}]+$/, '')
    if (!URL.canParse(href)) continue
    if (match.index > at) pieces.push({ text: text.slice(at, match.index) })
    pieces.push({ text: href, href })
    at = match.index + href.length
  }
  if (at < text.length) pieces.push({ text: text.slice(at) })
  return pieces
}
