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

/**
 * Splits a search hit's `highlight` at its marks and unescapes it to plain text; it is never used as HTML. The server
 * escapes all other tags, so every second piece is marked.
 */
export const highlightPieces = (highlight: string): Piece[] =>
  highlight
    .split(/<\/?mark>/)
    .map((piece, index) => ({
      text: piece.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, entity => entities[entity] ?? entity),
      marked: index % 2 === 1,
    }))
    .filter(({ text }) => text !== '')
