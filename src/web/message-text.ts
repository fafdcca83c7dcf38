import { html } from 'htm/preact'
import { useMemo } from 'preact/hooks'
import { renderMarkdown } from './markdown.ts'

/** The text of a message, with its Markdown. */
export const MessageText = ({ text, edited = false }: { text: string; edited?: boolean }) => {
  const content = useMemo(() => renderMarkdown(text), [text])
  return html`<div class="text" dir="auto">${content}${edited && html` <span class="edited">(edited)</span>`}</div>`
}
