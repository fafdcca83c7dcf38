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
